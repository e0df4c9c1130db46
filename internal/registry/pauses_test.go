package registry

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestPausesAndOrdersAreStored beside the resources, and go with the staging config.
func TestPausesAndOrdersAreStored(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	_, err := r.PutConfig(ctx, staging.Config{Name: "p", Zone: "east", Image: "i"})
	must(t, err)
	at := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	all := staging.Pause{Reason: "r", PausedBy: "token:tk-1", PausedAt: at}
	zone := staging.Pause{PauseTarget: staging.PauseTarget{Zone: "east"}, PausedAt: at}
	pool := staging.Pause{PauseTarget: staging.PauseTarget{Staging: "p"}, PausedAt: at}
	for _, p := range []staging.Pause{pool, zone, all} {
		before, err := r.PutPause(ctx, p)
		if err != nil || before != nil {
			t.Fatalf("%v, %v", before, err)
		}
	}
	config := r.Resources().Configs["p"]
	for _, want := range []staging.Pause{all, zone, pool} {
		if got, paused := r.Resources().PauseOf(config); !paused || got != want {
			t.Errorf("paused by %+v, want %+v", got, want)
		}
		if want == pool {
			break
		}
		if before, err := r.DeletePause(ctx, want.PauseTarget); err != nil || *before != want {
			t.Errorf("deleted %+v, %v", before, err)
		}
	}
	_, after, err := r.Order(ctx, "p", func(o *staging.PoolOrders) { o.Recycle = &staging.Recycle{Before: at} })
	must(t, err)
	before, after2, err := r.Order(ctx, "p", func(o *staging.PoolOrders) { o.RetryAt = at })
	must(t, err)
	want := staging.PoolOrders{Name: "p", Recycle: &staging.Recycle{Before: at}, RetryAt: at}
	if diff := cmp.Diff(&after, before) + cmp.Diff(want, after2) + cmp.Diff(want, r.Resources().Orders["p"]); diff != "" {
		t.Error(diff)
	}
	// A pause that cannot be read pauses all the same.
	_, err = client.KV().Put(&api.KVPair{Key: r.pauseKey(pool.PauseTarget), Value: []byte("{")}, nil)
	must(t, err)
	res, err := r.Refresh(ctx)
	must(t, err)
	if got, paused := res.PauseOf(config); !paused || got.Reason == "" || len(res.Unreadable) != 0 {
		t.Errorf("paused by %+v; unreadable %v", got, res.Unreadable)
	}
	_, err = r.DeleteConfig(ctx, "p")
	must(t, err)
	if res := r.Resources(); len(res.Pauses)+len(res.Orders)+len(res.Configs) != 0 {
		t.Errorf("left of a deleted config: %+v", res)
	}
	if _, err := r.DeletePause(ctx, pool.PauseTarget); !errors.Is(err, staging.ErrNoResource) {
		t.Error(err)
	}
}

// TestNoFateOfAnOlderRevisionIsDecided: a fate that must be of what its claimer has read is not
// decided once one of the three resources is stored anew, by whomever, and nothing is written.
func TestNoFateOfAnOlderRevisionIsDecided(t *testing.T) {
	r, client := newRegistry(t)
	other := New(client, t.Name()+"/")
	ctx := t.Context()
	c := staging.Config{Name: "p", Zone: "east", Image: "i", Update: staging.UpdateImmediate}
	z, i := staging.Zone{Name: "east", Datacenters: []string{"dc1"}}, staging.Image{Name: "i", Jobspec: "job {}"}
	store := map[staging.ResourceKind]func(n string) error{
		staging.KindZone: func(n string) error { z.NodePool = n; _, err := other.PutZone(ctx, z); return err },
		staging.KindImage: func(n string) error {
			i.Variables = map[string]string{"n": n}
			_, err := other.PutImage(ctx, i)
			return err
		},
		staging.KindStaging: func(n string) error {
			c.Permissions = staging.Permissions{staging.AllowAudio: n == "y"}
			_, err := other.PutConfig(ctx, c)
			return err
		},
	}
	for _, put := range store {
		must(t, put("x"))
	}
	for _, key := range []string{"", "k"} {
		for kind, put := range store {
			read, err := r.Refresh(ctx)
			must(t, err)
			fates := several("c", key, "s-"+string(kind)+key)
			fates[0].MadeOf = read.MadeOf(c)
			must(t, put("y"))
			_, _, err = r.CreateFates(ctx, fates)
			if outdated, ok := errors.AsType[*staging.OutdatedError](err); !ok || outdated.Kind != kind {
				t.Errorf("after a change of the %s: %v", kind, err)
			}
			if _, err := r.Fate(ctx, fates[0].Session); !errors.Is(err, staging.ErrNoResource) {
				t.Errorf("a fate is written: %v", err)
			}
			must(t, put("x"))
		}
	}
	read, err := r.Refresh(ctx)
	must(t, err)
	fates := several("c", "k", "s")
	fates[0].MadeOf = read.MadeOf(c)
	created, _, err := r.CreateFates(ctx, fates)
	if err != nil || len(created) != 1 {
		t.Fatal(err)
	}
	// Lost to another before a change is lost, not outdated.
	must(t, store[staging.KindImage]("z"))
	fates = several("d", "", "s")
	fates[0].MadeOf = read.MadeOf(c)
	if _, lost, err := r.CreateFates(ctx, fates); err != nil || lost["s"].Claim != "c" {
		t.Errorf("lost %v, %v", lost, err)
	}
}
