package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

var servers = devtest.Share(devcluster.Options{NoRedis: true})

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

func newRegistry(t *testing.T) (*Registry, *api.Client) {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: servers.Cluster(t).ConsulAddr})
	if err != nil {
		t.Fatal(err)
	}
	return New(client, t.Name()+"/"), client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResourcesAreStoredWholeAndDeleted(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	zone := staging.Zone{Name: "east", Datacenters: []string{"dc1"}, NodePool: "p", AllowedGroups: []string{"students"}}
	image := staging.Image{
		Name: "demo", Jobspec: "job {}", Variables: map[string]string{"a": "b"}, AllowedGroups: []string{"students"},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{"x"}, Timeout: staging.Duration(time.Second)}},
	}
	three := 3
	group := staging.Group{
		Name: "students", Priority: 5, Default: true, AllowedEnvironment: []string{"PYTHONPATH", "GIT_*"}, MaxSessionsPerUser: &three, Permissions: staging.Permissions{staging.AllowAudio: false},
		RunConfig: map[string]any{"hostname": "h"}, VolumeMapping: []staging.VolumeMapping{{Source: "/srv/{user_id}", Target: "/data"}},
	}
	config := staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3, Expiration: staging.Duration(24 * time.Hour)}
	for i, want := range []bool{true, false} {
		for name, put := range map[string]func() (bool, error){
			"zone":   func() (bool, error) { before, err := r.PutZone(ctx, zone); return before == nil, err },
			"image":  func() (bool, error) { before, err := r.PutImage(ctx, image); return before == nil, err },
			"group":  func() (bool, error) { before, err := r.PutGroup(ctx, group); return before == nil, err },
			"config": func() (bool, error) { before, err := r.PutConfig(ctx, config); return before == nil, err },
		} {
			if created, err := put(); err != nil || created != want {
				t.Errorf("%s, put %d: created %v, %v", name, i+1, created, err)
			}
		}
	}
	got := r.Resources()
	want := staging.Resources{
		Zones: map[string]staging.Zone{"east": zone}, Images: map[string]staging.Image{"demo": image},
		Groups:  map[string]staging.Group{"students": group},
		Configs: map[string]staging.Config{"demo-east": config}, Webhooks: map[string]staging.Webhook{}, Index: got.Index, Unreadable: map[string]staging.UnreadableResource{},
		Versions: got.Versions, Pauses: map[staging.PauseTarget]staging.Pause{}, Orders: map[string]staging.PoolOrders{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was written is not what is read (-want +got):\n%s", diff)
	}
	_, err := r.DeleteGroup(ctx, "students")
	must(t, err)
	before, err := r.DeleteConfig(ctx, "demo-east")
	must(t, err)
	if diff := cmp.Diff(&config, before); diff != "" {
		t.Errorf("the deletes returned other resources (-want +got):\n%s", diff)
	}
	if _, err := r.DeleteConfig(ctx, "demo-east"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("deleting what is not there: %v", err)
	}
	if n := len(r.Resources().Configs); n != 0 {
		t.Errorf("%d configs after the only one was deleted", n)
	}
}

func TestWatchTellsEveryChangeAndNothingOfFates(t *testing.T) {
	r, client := newRegistry(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	emitted := make(chan staging.Resources, 100)
	ended := make(chan error, 1)
	go func() { ended <- New(client, t.Name()+"/").Watch(ctx, func(r staging.Resources) { emitted <- r }) }()
	next := func() staging.Resources {
		select {
		case r := <-emitted:
			return r
		case <-time.After(2 * time.Minute):
			t.Fatal("the watch emitted nothing")
			return staging.Resources{}
		}
	}
	if first := next(); len(first.Zones) != 0 {
		t.Fatalf("first: %+v", first)
	}
	_, _, err := r.CreateFate(ctx, staging.Fate{Session: "s", Verdict: staging.VerdictRetired})
	must(t, err)
	_, err = r.PutZone(ctx, staging.Zone{Name: "east", Datacenters: []string{"dc1"}})
	must(t, err)
	if second := next(); len(second.Zones) != 1 {
		t.Errorf("the fate woke the watch, or the zone was not emitted: %+v", second)
	}
	_, err = client.KV().Put(&api.KVPair{Key: t.Name() + "/resources/zones/west", Value: []byte("{")}, nil)
	must(t, err)
	if third := next(); len(third.Zones) != 1 || len(third.Unreadable) != 1 {
		t.Errorf("a resource that cannot be read: %+v", third)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

func TestExactlyOneOfManyDecidesAFate(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	const rivals = 16
	won := make([]bool, rivals)
	stands := make([]staging.Fate, rivals)
	var wg sync.WaitGroup
	for i := range rivals {
		f := staging.Fate{Session: "s", Verdict: staging.VerdictAssigned, Claim: fmt.Sprint("c", i), User: &staging.User{ID: fmt.Sprint("u", i)}, HookPending: true}
		if i%4 == 0 {
			f = staging.Fate{Session: "s", Verdict: staging.VerdictRetired, Reason: "expired"}
		}
		wg.Go(func() {
			var err error
			if won[i], stands[i], err = r.CreateFate(ctx, f); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := r.Fates(ctx)
	must(t, err)
	winners := 0
	for i := range rivals {
		if won[i] {
			winners++
			if stands[i].Index == 0 && !stands[i].HookPending {
				stands[i].Index = all["s"].Index // CreateFate does not return the index of a final record
			}
		}
		if diff := cmp.Diff(stands[0], stands[i]); diff != "" {
			t.Errorf("two callers got different fates:\n%s", diff)
		}
	}
	if winners != 1 {
		t.Errorf("%d winners", winners)
	}
	if diff := cmp.Diff(map[string]staging.Fate{"s": stands[0]}, all); diff != "" {
		t.Errorf("the record is not the one that the callers got:\n%s", diff)
	}
}

func TestAFateIsFinishedByItsOwnClaimOnly(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	won, f, err := r.CreateFate(ctx, staging.Fate{Session: "s", Verdict: staging.VerdictAssigned, Claim: "c", User: &staging.User{ID: "u"}, HookPending: true})
	if err != nil || !won {
		t.Fatal(won, err)
	}
	if again, stands, err := r.CreateFate(ctx, staging.Fate{Session: "s", Verdict: staging.VerdictAssigned, Claim: "c", User: &staging.User{ID: "u"}, HookPending: true}); err != nil || !again || stands.Index != f.Index {
		t.Errorf("a repeated call after a lost answer: %v %+v %v", again, stands, err)
	}
	must(t, r.FinishFates(ctx, []staging.Fate{f}))
	got, err := r.Fate(ctx, "s")
	must(t, err)
	if got.HookPending || got.Claim != "c" {
		t.Errorf("finished: %+v", got)
	}
	if err := r.FinishFates(ctx, []staging.Fate{f}); !errors.Is(err, ErrConflict) {
		t.Errorf("finishing from a stale record: %v", err)
	}
	_, other, err := r.CreateFate(ctx, staging.Fate{Session: "t", Verdict: staging.VerdictAssigned, Claim: "d", User: &staging.User{ID: "u"}, HookPending: true})
	must(t, err)
	must(t, r.AbandonFate(ctx, other, "its lease is over"))
	if err := r.FinishFates(ctx, []staging.Fate{other}); !errors.Is(err, ErrConflict) {
		t.Errorf("a late broker finished an abandoned fate: %v", err)
	}
	must(t, r.DeleteFate(ctx, "s"))
	if _, err := r.Fate(ctx, "s"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("a deleted fate: %v", err)
	}
	if err := r.FinishFates(ctx, []staging.Fate{f}); !errors.Is(err, ErrConflict) {
		t.Errorf("finishing a deleted fate: %v", err)
	}
}

// TestAKeyIsBoundWithTheFateOrNotAtAll: of many launches with one key, each with its own
// session, exactly one wins.
func TestAKeyIsBoundWithTheFateOrNotAtAll(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	fate := func(i int) staging.Fate {
		return staging.Fate{
			Session: fmt.Sprint("s", i), Verdict: staging.VerdictAssigned, Claim: fmt.Sprint("c", i), User: &staging.User{ID: "u"}, IdempotencyKey: "k", Fingerprint: "f",
		}
	}
	var mu sync.Mutex
	var winner staging.Fate
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			won, f, err := r.CreateFate(ctx, fate(i))
			var held *staging.KeyHeldError
			mu.Lock()
			defer mu.Unlock()
			switch {
			case won && winner.Session == "":
				winner = f
			case won:
				t.Errorf("%s and %s both have the key", winner.Session, f.Session)
			case !errors.As(err, &held) || held.Fingerprint != "f":
				t.Errorf("a launch that lost the key: %v", err)
			}
		})
	}
	wg.Wait()
	fates, err := r.Fates(ctx)
	must(t, err)
	if len(fates) != 1 || fates[winner.Session].Claim != winner.Claim {
		t.Errorf("fates %v, want only that of %s", fates, winner.Session)
	}
	// The same launch tries another session, and binds the key to that one.
	next := winner
	next.Session, next.Index = "next", 0
	won, next, err := r.CreateFate(ctx, next)
	if hold, keyErr := r.Key(ctx, "k"); !won || err != nil || keyErr != nil || hold.Session != "next" {
		t.Errorf("its next session: %v %v; the key: %+v %v", won, err, hold, keyErr)
	}
	must(t, r.ReleaseKey(ctx, "k", "another"))
	if _, err := r.Key(ctx, "k"); err != nil {
		t.Errorf("another claim let the key go: %v", err)
	}
	// The key is deleted with the fate of the session that it names, and with no other.
	must(t, r.DeleteFate(ctx, winner.Session))
	if _, err := r.Key(ctx, "k"); err != nil {
		t.Errorf("the key went with a session that it does not name: %v", err)
	}
	must(t, r.DeleteFate(ctx, "next"))
	if _, err := r.Key(ctx, "k"); !errors.Is(err, staging.ErrNoResource) {
		t.Errorf("the key is left: %v", err)
	}
}

// TestARestoredFateBindsItsKeyAgain, unless a launch holds the key meanwhile. Of a launch of
// several, the first session is the key's.
func TestARestoredFateBindsItsKeyAgain(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	holds := func(want string) {
		t.Helper()
		if hold, err := r.Key(ctx, "k"); err != nil || hold.Session != want {
			t.Errorf("the key names %q, %v; want %q", hold.Session, err, want)
		}
	}
	fate := staging.Fate{Session: "s1", Verdict: staging.VerdictAssigned, Claim: "c", User: &staging.User{ID: "u"}, IdempotencyKey: "k", Fingerprint: "f", Sessions: []string{"s1", "s2"}}
	second := fate
	second.Session = "s2"
	for _, f := range []staging.Fate{second, fate, fate, second} {
		existing, err := r.RestoreFate(ctx, f)
		if err != nil || existing.Claim != "c" || existing.Session != f.Session {
			t.Errorf("%s: %+v, %v", f.Session, existing, err)
		}
	}
	holds("s1")
	later := fate
	later.Session, later.Claim, later.Sessions = "s3", "c3", nil
	if existing, err := r.RestoreFate(ctx, later); err != nil || existing.Session != "s3" {
		t.Errorf("a fate whose key is held by another launch: %+v, %v", existing, err)
	}
	holds("s1")
}

// TestWhatCannotBeReadKeepsItsLastValue, as long as this process has read one, and until the
// key is deleted or readable again.
func TestWhatCannotBeReadKeepsItsLastValue(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	prefix := t.Name() + "/resources/"
	put := func(key, value string) {
		t.Helper()
		_, err := client.KV().Put(&api.KVPair{Key: prefix + key, Value: []byte(value)}, nil)
		must(t, err)
	}
	config := staging.Config{Name: "demo", Zone: "east", Image: "demo", DesiredSessions: 3}
	_, err := r.PutConfig(ctx, config)
	must(t, err)
	put("staging/", "")
	put("staging/demo", `{"name":"demo","zone":"east","image":"demo","desired_sessions":"5"}`)
	put("zones/west", `{`)
	for range 2 { // also what an unreadable record has kept is kept
		res, err := r.Refresh(ctx)
		must(t, err)
		if diff := cmp.Diff(map[string]staging.Config{"demo": config}, res.Configs); diff != "" {
			t.Errorf("the last readable value is not kept (-want +got):\n%s", diff)
		}
		u, found := res.UnreadableOf(staging.KindStaging, "demo")
		if !found || !u.Kept || len(res.Unreadable) != 2 || !res.Unknown(staging.KindZone, "west") || !res.HasZone("west") {
			t.Errorf("unreadable: %+v", res.Unreadable)
		}
	}
	if res, err := New(client, t.Name()+"/").Refresh(ctx); err != nil || len(res.Configs) != 0 || !res.Unknown(staging.KindStaging, "demo") {
		t.Errorf("a process that never read the config: %+v, %v", res, err)
	}
	_, err = r.DeleteConfig(ctx, "demo")
	must(t, err)
	put("staging/demo", `[]`)
	res, err := r.Refresh(ctx)
	must(t, err)
	if len(res.Configs) != 0 || !res.Unknown(staging.KindStaging, "demo") {
		t.Errorf("a value from before the deletion is kept: %+v", res)
	}
}

// TestWhatIsStoredAgainKeepsWhatItHides: that of the version which it replaces, however the
// writers come together.
func TestWhatIsStoredAgainKeepsWhatItHides(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	image := staging.Image{Name: "demo", Jobspec: "job {}", Variables: map[string]string{"password": "v0", "tag": "t"}}
	if _, err := r.PutImage(ctx, staging.Redacted(image)); !errors.As(err, new(*staging.InvalidError)) {
		t.Errorf("a new one that hides everything: %v", err)
	}
	_, err := r.PutImage(ctx, image)
	must(t, err)
	var wg sync.WaitGroup
	put := func(by *Registry, i staging.Image) {
		wg.Go(func() {
			if _, err := by.PutImage(ctx, i); err != nil && !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
	}
	for n := range 8 {
		changed := image
		changed.Variables = map[string]string{"password": fmt.Sprint("v", n+1), "tag": staging.Hidden}
		put(New(client, t.Name()+"/"), changed)
		put(New(client, t.Name()+"/"), staging.Redacted(image))
	}
	wg.Wait()
	image.Variables = map[string]string{"password": "last", "tag": "t"}
	_, err = r.PutImage(ctx, image)
	must(t, err)
	again := staging.Redacted(image)
	again.WebFilterPolicy = "strict"
	_, err = r.PutImage(ctx, again)
	must(t, err)
	image.WebFilterPolicy = "strict"
	if diff := cmp.Diff(image, r.Resources().Images["demo"]); diff != "" {
		t.Errorf("(-want +stored):\n%s", diff)
	}
}

// TestWhyAResourceCannotBeReadHoldsNoSecret: viewers see it in the status.
func TestWhyAResourceCannotBeReadHoldsNoSecret(t *testing.T) {
	r, client := newRegistry(t)
	key := t.Name() + "/resources/images/demo"
	_, err := client.KV().Put(&api.KVPair{Key: key, Value: []byte(
		`{"name":"demo","jobspec":"job","exec_config":{"assign":{"cmd":["/bin/x","{hunter2}"],"environment":{"KEY":"{hunter3}"}}},"connect_url":"nowhere"}`,
	)}, nil)
	must(t, err)
	res, err := r.Refresh(t.Context())
	must(t, err)
	why := res.Unreadable[key].Reason
	if strings.Contains(why, "hunter") || !strings.Contains(why, "exec_config.assign.environment.KEY: ") || !strings.Contains(why, "connect_url: must be an absolute URL") {
		t.Errorf("%q", why)
	}
}
