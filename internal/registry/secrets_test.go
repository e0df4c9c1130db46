package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestEverybodyGetsTheSameSecret, however many callers are first at the same time.
func TestEverybodyGetsTheSameSecret(t *testing.T) {
	const brokers = 16
	_, client := newRegistry(t)
	got := make([]string, brokers)
	var wg sync.WaitGroup
	for i := range brokers {
		r := New(client, t.Name()+"/")
		wg.Go(func() {
			keys, err := r.Keys(t.Context(), "access")
			if err != nil || len(keys) != 1 {
				t.Errorf("%v, %v", keys, err)
				return
			}
			again, err := r.Keys(t.Context(), "access")
			if diff := cmp.Diff(keys, again); err != nil || diff != "" {
				t.Errorf("two calls returned different secrets: %v", err)
			}
			got[i] = string(keys[0].Key)
		})
	}
	wg.Wait()
	for _, s := range got {
		if len(s) != secretBytes || s != got[0] {
			t.Fatal("two brokers hold different secrets")
		}
	}
	r := New(client, t.Name()+"/")
	if other, err := r.Keys(t.Context(), "other"); err != nil || string(other[0].Key) == got[0] {
		t.Errorf("another name has the same secret: %v", err)
	}
}

// watching returns a registry that follows the keys, as a broker does.
func watching(t *testing.T, client *api.Client) *Registry {
	t.Helper()
	r := New(client, t.Name()+"/")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.WatchKeys(ctx); ctx.Err() == nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return r
}

// TestSecretsRotateForEveryBroker: they follow a rotation, of a key that was stored before keys
// could be rotated as well, and one that starts later has the same keys. Brokers that rotate at
// the same time end with the same keys.
func TestSecretsRotateForEveryBroker(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	old := bytes.Repeat([]byte("o"), secretBytes)
	_, err := client.KV().Put(&api.KVPair{Key: t.Name() + "/secrets/access", Value: old}, nil)
	must(t, err)
	brokers := []*Registry{watching(t, client), watching(t, client)}
	for _, b := range brokers {
		keys, err := b.Keys(ctx, "access")
		must(t, err)
		if !bytes.Equal(keys.Signing(time.Now()), old) {
			t.Fatal("the stored key of before is not read")
		}
	}
	now := time.Now()
	done, err := r.RotateKeys(ctx, []string{"access", "login"}, now, time.Hour)
	must(t, err)
	if !done.AcceptedUntil.Equal(now.Add(time.Hour)) || !done.SignsFrom.After(now) || !done.SignsFrom.Before(now.Add(time.Minute)) {
		t.Errorf("%+v", done)
	}
	want, err := r.Keys(ctx, "access")
	must(t, err)
	if len(want) != 2 || bytes.Equal(want[0].Key, old) || !bytes.Equal(want[1].Key, old) || !want[1].Until.Equal(done.AcceptedUntil) {
		t.Fatalf("%v", want)
	}
	same := func() bool {
		for _, b := range append(brokers, New(client, t.Name()+"/")) {
			for _, name := range []string{"access", "login"} {
				mine, err := r.Keys(ctx, name)
				must(t, err)
				if keys, err := b.Keys(ctx, name); err != nil || !cmp.Equal(mine, keys) {
					return false
				}
			}
		}
		return true
	}
	until(t, same)
	newest, _, err := client.KV().Get(t.Name()+"/secrets/access", nil)
	must(t, err)
	if !bytes.Equal(newest.Value, want[0].Key) {
		t.Error("a broker of before reads another key than the newest one")
	}

	var wg sync.WaitGroup
	for _, b := range brokers {
		wg.Go(func() {
			if _, err := b.RotateKeys(ctx, []string{"access", "login"}, time.Now(), time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	until(t, func() bool {
		_, err := r.readKeys(r.brokersKeys(), query(ctx))
		must(t, err)
		return same()
	})
	last, err := r.Keys(ctx, "access")
	must(t, err)
	if len(last) != 4 || !bytes.Equal(last[3].Key, old) {
		t.Errorf("after two more rotations: %v", last)
	}
	if _, err := r.RotateKeys(ctx, []string{"access"}, time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if last, err = r.Keys(ctx, "access"); err != nil || len(last) != 1 {
		t.Errorf("without overlap: %v, %v", last, err)
	}
	for n := range staging.MaxSigningKeys {
		_, err = r.RotateKeys(ctx, []string{"access"}, time.Now(), time.Hour)
		if wrong := errors.As(err, new(*staging.InvalidError)); wrong != (n == staging.MaxSigningKeys-1) {
			t.Errorf("rotation %d: %v", n, err)
		}
	}
}

// TestKeysThatCannotBeReadStay: what is wrong in Consul makes no broker refuse what it signed.
func TestKeysThatCannotBeReadStay(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	kv := client.KV()
	_, err := r.RotateKeys(ctx, []string{"access"}, time.Now(), time.Hour)
	must(t, err)
	_, err = r.RotateKeys(ctx, []string{"access"}, time.Now(), time.Hour)
	must(t, err)
	want, err := r.Keys(ctx, "access")
	must(t, err)
	if len(want) != 2 {
		t.Fatalf("%v", want)
	}
	stays := func(what string) {
		t.Helper()
		_, err := r.readKeys(r.brokersKeys(), query(ctx))
		must(t, err)
		got, err := r.Keys(ctx, "access")
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	record := r.rotationKey("access")
	_, err = kv.Put(&api.KVPair{Key: record, Value: []byte("{")}, nil)
	must(t, err)
	stays("a damaged record")
	if alone, err := New(client, t.Name()+"/").Keys(ctx, "access"); err != nil || len(alone) != 1 || !bytes.Equal(alone[0].Key, want[0].Key) {
		t.Errorf("a broker that starts then has %v, %v", alone, err)
	}
	if _, err := r.RotateKeys(ctx, []string{"access"}, time.Now(), time.Hour); err == nil || !strings.Contains(err.Error(), record) {
		t.Errorf("a rotation over a damaged record: %v", err)
	}
	_, err = kv.Delete(record, nil)
	must(t, err)
	for what, value := range map[string]string{"too short": "short"} {
		_, err = kv.Put(&api.KVPair{Key: r.secretKey("access"), Value: []byte(value)}, nil)
		must(t, err)
		stays(what)
	}
	_, err = kv.Delete(r.secretKey("access"), nil)
	must(t, err)
	stays("deleted")
}
