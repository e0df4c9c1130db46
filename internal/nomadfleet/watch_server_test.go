package nomadfleet_test

import (
	gocmp "cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// listed returns List's observation of one session.
func (r rig) listed(t testing.TB, id string) staging.Observation {
	t.Helper()
	observations, err := r.List(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range observations {
		if o.Session == id {
			return o
		}
	}
	return staging.Observation{}
}

// view merges observations as documented on their type: part by part, by index.
type view struct {
	mu sync.Mutex
	// parts and events are the newest index of each part: of all, and of events alone.
	parts, events map[viewPart]uint64
	known         map[string]staging.Observation
	// regressed holds the events with an older part than an event before them.
	regressed []staging.Observation
}

type viewPart struct{ session, part string }

func newView() *view {
	return &view{parts: map[viewPart]uint64{}, events: map[viewPart]uint64{}, known: map[string]staging.Observation{}}
}

// event merges an event, and list what a list has. A list may be older than an event before
// it, and an event older than a list; only events come in order.
func (v *view) event(o staging.Observation) { v.merge(o, false) }
func (v *view) list(o staging.Observation)  { v.merge(o, true) }

func (v *view) merge(o staging.Observation, listed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.known[o.Session]
	k.Session = o.Session
	newer := func(name string) bool {
		part := viewPart{o.Session, name}
		if !listed {
			if o.Index < v.events[part] {
				v.regressed = append(v.regressed, o)
			}
			v.events[part] = max(v.events[part], o.Index)
		}
		if o.Index < v.parts[part] {
			return false
		}
		v.parts[part] = o.Index
		return true
	}
	if o.Job != nil && newer("job") {
		k.Job = o.Job
	}
	if o.Alloc != nil && newer("alloc") {
		k.Alloc = o.Alloc
	}
	if o.Placement != nil {
		k.Placement = o.Placement
	}
	v.known[o.Session] = k
}

func (v *view) of(id string) staging.Observation {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.known[id]
}

// watch runs Watch until the test ends.
func (r rig) watch(t testing.TB) *view { return r.watchAndList(t, nil) }

// watchAndList is watch with a further list at each value of again.
func (r rig) watchAndList(t testing.TB, again <-chan struct{}) *view {
	t.Helper()
	v := newView()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Watch(ctx, v.event, emitting(v.list, again)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
	})
	return v
}

func TestListAndWatchAgree(t *testing.T) {
	r := newRig(t)
	before, _ := r.start(t, r.session(t), app(t, "raw_exec"), nil)
	v := r.watch(t)
	after, alloc := r.start(t, r.session(t), app(t, "raw_exec"), nil)

	for _, s := range []staging.Session{before, after} {
		eventually(t, "the watch emits that it runs", func() bool {
			o := v.of(s.ID)
			return o.Job != nil && o.Alloc != nil && o.Alloc.Running && o.Placement != nil
		})
		list := r.listed(t, s.ID)
		want := staging.JobFacts{Session: staging.Session{
			ID: s.ID, Origin: s.Origin, Zone: s.Zone, Image: s.Image, Staging: s.Staging,
			Revision: s.Revision, CreatedAt: s.CreatedAt, Task: "app", Namespace: "default",
		}, CheckEvery: 2 * time.Second, Needs: staging.Needs{CPU: 20, MemoryMB: 16}}
		if diff := cmp.Diff(&want, list.Job); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		seen := v.of(s.ID)
		seen.Index = list.Index
		if diff := cmp.Diff(list, seen); diff != "" {
			t.Errorf("list against watch:\n%s", diff)
		}
	}
	if alloc.Ports["http"] == 0 || !cmp.Equal(v.of(after.ID).Alloc.Ports, alloc.Ports) || v.of(after.ID).Alloc.Address != alloc.Address {
		t.Errorf("address and ports: watch %+v, wait %+v", v.of(after.ID).Alloc, alloc)
	}

	if err := r.Stop(testContext(t), after); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watch emits that it was stopped and has ended", func() bool {
		o := v.of(after.ID)
		return o.Job.Stopped && o.Job.Dead && o.Alloc.Over && o.Alloc.Failure == nil
	})
	list := r.listed(t, after.ID)
	if !list.Job.Stopped || !list.Job.Dead || !list.Alloc.Over {
		t.Errorf("listed %+v %+v", list.Job, list.Alloc)
	}
	if err := r.Purge(testContext(t), after); err != nil {
		t.Fatal(err)
	}
	if o := r.listed(t, after.ID); o.Session != "" {
		t.Errorf("listed after its purge: %+v", o)
	}
	if len(v.regressed) > 0 {
		t.Errorf("%d observations came out of order: %+v", len(v.regressed), v.regressed[0])
	}
}

// TestEventsGoOnBesideFurtherLists, in pages of one: every change arrives, in order, also of a
// session that was registered after the first list.
func TestEventsGoOnBesideFurtherLists(t *testing.T) {
	r := newRig(t)
	r.SetPageSize(1)
	again := make(chan struct{})
	close(again) // one list after another
	v := r.watchAndList(t, again)
	var all []staging.Session
	for range 3 {
		s, _ := r.start(t, r.session(t), app(t, "raw_exec"), nil)
		all = append(all, s)
	}
	for _, s := range all {
		eventually(t, "the watch emits that it runs", func() bool {
			o := v.of(s.ID)
			return o.Job != nil && o.Alloc != nil && o.Alloc.Running
		})
		if err := r.Stop(testContext(t), s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the watch emits that it was stopped and has ended", func() bool {
			o := v.of(s.ID)
			return o.Job.Stopped && o.Alloc.Over
		})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.regressed) > 0 {
		t.Errorf("%d events came out of order: %+v", len(v.regressed), v.regressed[0])
	}
}

func TestWatchEmitsRefusedPlacement(t *testing.T) {
	r := newRig(t)
	v := r.watch(t)
	s := r.session(t)
	if _, err := r.Register(testContext(t), staging.Spec{Session: s, Image: app(t, "raw_exec"), Zone: staging.Zone{Name: "east", Datacenters: []string{"dc9"}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watch emits that no node fits", func() bool {
		p := v.of(s.ID).Placement
		return p != nil && p.Refused != nil && p.Refused.Message == "no node in datacenter dc9 in zone east"
	})
}

// TestClonesAreNotTheSession: a clone that Nomad makes of a stopped allocation is never
// taken for the session.
func TestClonesAreNotTheSession(t *testing.T) {
	r := newRig(t)
	v := r.watch(t)
	s, alloc := r.start(t, r.session(t), app(t, "raw_exec"), nil)
	if _, err := r.nomad.Allocations().Stop(&nomadapi.Allocation{ID: alloc.ID}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Nomad makes a clone", func() bool {
		allocs, _, err := r.nomad.Jobs().Allocations(s.ID, true, nil)
		return err == nil && len(allocs) == 2
	})
	eventually(t, "the session is over for the watch", func() bool {
		o := v.of(s.ID)
		return o.Alloc != nil && o.Alloc.Over
	})
	list := r.listed(t, s.ID)
	if list.Alloc.ID != alloc.ID || v.of(s.ID).Alloc.ID != alloc.ID || !list.Alloc.Over {
		t.Fatalf("took the clone for the session: list %+v, watch %+v", list.Alloc, v.of(s.ID).Alloc)
	}
	waited, err := r.WaitRunning(testContext(t), s)
	if err != nil || waited.ID != alloc.ID || !waited.Over {
		t.Fatalf("took the clone for the session: %+v, %v", waited, err)
	}
}

// TestACloneIsNotTheSession: if an allocation is stopped in Nomad, Nomad starts a clone.
// A list still contains the first allocation, that it was replaced, and why it ended.
func TestACloneIsNotTheSession(t *testing.T) {
	r := newRig(t)
	s, first := r.start(t, r.session(t), app(t, "raw_exec"), nil)
	alloc, _, err := r.nomad.Allocations().Info(first.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.nomad.Allocations().Stop(alloc, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Nomad made a clone", func() bool {
		all, _, err := r.nomad.Jobs().Allocations(s.ID, true, nil)
		return err == nil && len(all) == 2
	})
	eventually(t, "the list has the first allocation's end and its reason", func() bool {
		all, err := r.List(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if o.Session == s.ID && o.Alloc != nil {
				if o.Alloc.ID != first.ID {
					t.Fatalf("the list has %s, which is a clone", o.Alloc.ID)
				}
				return o.Replaced && o.Alloc.Over && o.Alloc.Failure == nil && o.Alloc.Reason != ""
			}
		}
		return false
	})
}

func TestListAcrossPagesAndNamespaces(t *testing.T) {
	r := newRig(t)
	r.SetPageSize(1)
	ctx := testContext(t)
	if _, err := r.nomad.Namespaces().Register(&nomadapi.Namespace{Name: "team"}, nil); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, namespace := range []string{"", "team", "team"} {
		s := r.session(t)
		s.Namespace = namespace
		zone := east
		zone.Namespace = namespace
		evalID, err := r.Register(ctx, staging.Spec{Session: s, Image: app(t, "raw_exec"), Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := r.Register(ctx, staging.Spec{Session: s, Image: app(t, "raw_exec"), Zone: zone}); err != nil || again != "" {
			t.Fatalf("a repeat: %q, %v", again, err)
		}
		if _, err := r.Placement(ctx, s, evalID); err != nil {
			t.Fatal(err)
		}
		alloc, err := r.WaitRunning(ctx, s)
		if err != nil || !alloc.Running {
			t.Fatalf("%+v, %v", alloc, err)
		}
		if code, err := r.execUntilAnswered(t, s, []string{"/bin/sh"}, "exit 6\n"); err != nil || code != 6 {
			t.Fatalf("exit code %d, %v", code, err)
		}
		o := r.listed(t, s.ID)
		if o.Alloc == nil || !o.Alloc.Running || o.Job.Session.Namespace != gocmp.Or(namespace, "default") {
			t.Fatalf("listed %+v", o)
		}
		want = append(want, s.ID)
		t.Cleanup(func() {
			if err := r.Purge(context.WithoutCancel(ctx), s); err != nil {
				t.Error(err)
			}
		})
	}
	observations, err := r.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range observations {
		if slices.Contains(want, o.Session) {
			got = append(got, o.Session)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// emitting follows a watch with a list, and one more at each value of again, and emits what
// they have.
func emitting(emit func(staging.Observation), again <-chan struct{}) func(context.Context, nomadfleet.ListFunc) error {
	return func(ctx context.Context, list nomadfleet.ListFunc) error {
		for {
			all, err := list(ctx)
			if err != nil {
				return err
			}
			for _, o := range all {
				emit(o)
			}
			select {
			case <-again:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func TestWatchEndsWithTheServer(t *testing.T) {
	c := devtest.Cluster(t, devcluster.Options{Datacenters: []string{"dc1"}})
	fleet, err := nomadfleet.Open(nomadfleet.Settings{Address: c.NomadAddr}, nomadfleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := staging.Session{ID: staging.NewSessionID(), Origin: staging.OnDemand, Zone: "east", Image: "app"}
	if _, err := fleet.Register(testContext(t), staging.Spec{Session: s, Image: app(t, "raw_exec"), Zone: staging.Zone{Name: "east", Datacenters: []string{"dc9"}}}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan staging.Observation, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- fleet.Watch(testContext(t), func(staging.Observation) {}, emitting(func(o staging.Observation) { seen <- o }, nil))
	}()
	if o := <-seen; o.Node == nil || o.Node.ID == "" || o.Node.Draining {
		t.Fatalf("got %+v, want the node first", o)
	}
	if o := <-seen; o.Session != s.ID {
		t.Fatalf("got %+v", o)
	}
	if err := c.NomadServer.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, nomadfleet.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if _, err := fleet.List(testContext(t)); !errors.Is(err, nomadfleet.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if err := fleet.Watch(testContext(t), nil, emitting(nil, nil)); !errors.Is(err, nomadfleet.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestWatchEndsWhenTheStreamIsSilent(t *testing.T) {
	r := newRig(t)
	// Nomad's own heartbeats are 30 s apart.
	r.SetStreamTimeout(300 * time.Millisecond)
	err := r.Watch(testContext(t), func(staging.Observation) {}, emitting(func(staging.Observation) {}, nil))
	if !errors.Is(err, nomadfleet.ErrUnavailable) || !strings.Contains(err.Error(), "silent") {
		t.Fatalf("got %v", err)
	}
}
