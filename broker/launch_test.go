package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// world is every server that a broker leans on, in memory: it notes each call
// in order and fails where a test wants it to. The real servers are in the tests
// of cmd/greenroom; here it is about the order of things when they fail.
type world struct {
	mu    sync.Mutex
	calls []string
	// ready are the pool's session ids, oldest first.
	ready []string
	// decided are sessions whose fate somebody else has decided already.
	decided map[string]staging.Verdict
	// fail makes the call of that name fail.
	fail map[string]error
	// refused is the scheduler's no; refusedIn is its no in some zones alone.
	refused   *staging.Failure
	refusedIn map[string]bool
	// pools are ready sessions by pool; what ready holds is any pool's.
	pools map[string][]string
	// inConsul are sessions that pass their checks.
	inConsul []string
	// fates are those that were decided before, keyHolder who holds the key in Consul.
	fates     map[string]staging.Fate
	keyHolder staging.KeyHold
	// keyInRedis is who holds it there; nobody where it is not set.
	keyInRedis staging.ClaimResult
	// resources are the default ones unless set.
	resources *staging.Resources
	// limited are the sessions that are too many; owned those of the user.
	limited []string
	owned   []staging.Session
	events  []staging.Event
	// unvouched: Redis is not believed.
	unvouched bool
	specs     []staging.Spec
}

func (w *world) note(format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	call := fmt.Sprintf(format, args...)
	w.calls = append(w.calls, call)
	name, _, _ := strings.Cut(call, " ")
	return w.fail[name]
}

func (w *world) Resources() staging.Resources {
	if w.resources != nil {
		return *w.resources
	}
	return staging.Resources{
		Zones: map[string]staging.Zone{"east": zone("east")},
		Images: map[string]staging.Image{
			"hooked": {Name: "hooked", ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{"x"}}}},
			"plain":  {Name: "plain"},
		},
		Configs: map[string]staging.Config{
			"h": {Name: "h", Zone: "east", Image: "hooked"}, "p": {Name: "p", Zone: "east", Image: "plain"},
		},
	}
}

func zone(name string) staging.Zone {
	return staging.Zone{Name: name, Datacenters: []string{"dc1"}, AllowOriginDomain: "example.org", UpstreamAuthAddress: "broker:7480"}
}

func (w *world) Refresh(context.Context) (staging.Resources, error) { return w.Resources(), nil }

func (w *world) PutZone(context.Context, staging.Zone) (*staging.Zone, error) { return nil, nil }

func (w *world) PutImage(context.Context, staging.Image) (*staging.Image, error) { return nil, nil }

func (w *world) PutConfig(context.Context, staging.Config) (*staging.Config, error) { return nil, nil }

func (w *world) PutGroup(context.Context, staging.Group) (*staging.Group, error) { return nil, nil }

func (w *world) DeleteGroup(context.Context, string) (*staging.Group, error) { return nil, nil }

func (w *world) Secret(context.Context, string) ([]byte, error) { return []byte("secret"), nil }

func (w *world) DeleteZone(context.Context, string) (*staging.Zone, error) { return nil, nil }

func (w *world) DeleteImage(context.Context, string) (*staging.Image, error) { return nil, nil }

func (w *world) DeleteConfig(context.Context, string) (*staging.Config, error) { return nil, nil }

func (w *world) Ping(context.Context) error { return w.fail["ping"] }

func (w *world) CreateFate(_ context.Context, f staging.Fate) (bool, staging.Fate, error) {
	call := map[staging.Verdict]string{staging.VerdictAssigned: "decide", staging.VerdictRetired: "retire"}[f.Verdict]
	if err := w.note("%s %s", call, short(f.Session)); err != nil {
		return false, f, err
	}
	if v, ok := w.decided[f.Session]; ok {
		return false, staging.Fate{Session: f.Session, Verdict: v, Claim: "another", User: &staging.User{ID: "other"}}, nil
	}
	if f.Fingerprint != "" && w.keyHolder.Claim != "" {
		return false, f, &staging.KeyHeldError{KeyHold: w.keyHolder}
	}
	if f.Index = 1; f.Fingerprint != "" {
		f.KeyIndex = 1
	}
	return true, f, nil
}

func (w *world) CreateFates(_ context.Context, fates []staging.Fate) ([]staging.Fate, map[string]staging.Fate, error) {
	ids := make([]string, len(fates))
	for i, f := range fates {
		ids[i] = f.Session
	}
	if err := w.note("decide %s", strings.Join(ids, " ")); err != nil {
		return nil, nil, err
	}
	lost := map[string]staging.Fate{}
	for i, f := range fates {
		if v, ok := w.decided[f.Session]; ok {
			lost[f.Session] = staging.Fate{Session: f.Session, Verdict: v, Claim: "another", User: &staging.User{ID: "other"}}
		}
		fates[i].Index = 1
	}
	if len(lost) > 0 {
		return nil, lost, nil
	}
	if fates[0].Fingerprint != "" && w.keyHolder.Claim != "" {
		return nil, nil, &staging.KeyHeldError{KeyHold: w.keyHolder}
	}
	return fates, nil, nil
}

func (w *world) FinishFates(_ context.Context, fates []staging.Fate) error {
	return w.note("finished %d", len(fates))
}

func (w *world) Unclaim(_ context.Context, s staging.Session) error {
	w.mu.Lock()
	w.ready = append(w.ready, s.ID)
	w.mu.Unlock()
	return w.note("put back %s", s.ID)
}

func (w *world) ClaimSeveral(_ context.Context, pools []staging.Config, n int, c staging.Claim) (staging.SeveralResult, error) {
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	if err := w.note("claim %d of %s", n, strings.Join(names, " ")); err != nil {
		return staging.SeveralResult{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := staging.SeveralResult{}
	if w.limited != nil {
		r.Outcome, r.Held = staging.ClaimLimit, w.limited
		return r, nil
	}
	var ids []string
	for i, p := range pools {
		here := w.pools[p.Name]
		if i == 0 {
			here = slices.Concat(here, w.ready)
		}
		r.Ready = append(r.Ready, len(here))
		for _, id := range here {
			if len(r.Sessions) < n {
				ids = append(ids, id)
				r.Sessions = append(r.Sessions, staging.Session{
					ID: id, State: staging.Claimed, Origin: staging.Staged, Zone: p.Zone, Image: c.Image, Claim: c.ID, User: &c.User, Staging: p.Name,
				})
			}
		}
	}
	if len(r.Sessions) < n {
		return staging.SeveralResult{ClaimResult: staging.ClaimResult{Outcome: staging.ClaimEmpty}, Ready: r.Ready}, nil
	}
	gone := func(id string) bool { return slices.Contains(ids, id) }
	w.ready = slices.DeleteFunc(w.ready, gone)
	for name := range w.pools {
		w.pools[name] = slices.DeleteFunc(w.pools[name], gone)
	}
	return staging.SeveralResult{ClaimResult: staging.ClaimResult{Outcome: staging.ClaimTaken}, Sessions: r.Sessions}, nil
}

func (w *world) FinishFate(_ context.Context, f staging.Fate) error {
	return w.note("finished %s", f.Session)
}

func (w *world) Claim(_ context.Context, pool string, c staging.Claim) (staging.ClaimResult, error) {
	if err := w.note("claim"); err != nil {
		return staging.ClaimResult{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limited != nil {
		return staging.ClaimResult{Outcome: staging.ClaimLimit, Held: w.limited}, nil
	}
	var id string
	switch {
	case len(w.pools[pool]) > 0:
		id, w.pools[pool] = w.pools[pool][0], w.pools[pool][1:]
	case len(w.ready) > 0:
		id, w.ready = w.ready[0], w.ready[1:]
	default:
		return staging.ClaimResult{Outcome: staging.ClaimEmpty}, nil
	}
	return staging.ClaimResult{Outcome: staging.ClaimTaken, Session: staging.Session{
		ID: id, State: staging.Claimed, Origin: staging.Staged, Zone: c.Zone, Image: c.Image, Claim: c.ID, User: &c.User, ExpiresAt: time.Now(),
	}}, nil
}

func (w *world) Begin(_ context.Context, s staging.Session, c staging.Claim) (staging.ClaimResult, error) {
	err := w.note("begin")
	s.Claim, s.User = c.ID, &c.User
	return staging.ClaimResult{Outcome: staging.ClaimTaken, Session: s}, err
}

func (w *world) Assign(_ context.Context, s staging.Session) (staging.Session, error) {
	err := w.note("assign %s", short(s.ID))
	s.State = staging.Assigned
	return s, err
}

func (w *world) Finish(_ context.Context, id, _, _ string) error { return w.note("end %s", short(id)) }

func (w *world) Retire(context.Context, staging.Session, string) error {
	return errors.New("not of a launch")
}

func (w *world) Restore(_ context.Context, s staging.Session, _ staging.Fate) (staging.State, error) {
	return s.State, w.note("restore %s to %s", short(s.ID), s.User.ID)
}
func (w *world) Release(context.Context, string, string, string) error { return w.note("release") }
func (w *world) AbandonFate(_ context.Context, f staging.Fate, _ string) error {
	return w.note("abandon %s", f.Session)
}

func (w *world) KeyHolder(context.Context, string) (staging.ClaimResult, error) {
	if w.keyInRedis.Outcome != "" {
		return w.keyInRedis, nil
	}
	return staging.ClaimResult{Outcome: staging.ClaimEmpty}, nil
}

func (w *world) Session(context.Context, string) (staging.Session, error) {
	return staging.Session{}, staging.ErrNoSession
}

func (w *world) Page(context.Context, staging.SessionFilter, staging.Position, int) (staging.SessionPage, error) {
	return staging.SessionPage{}, nil
}

func (w *world) Check(context.Context, staging.Image) error { return nil }
func (w *world) Register(_ context.Context, spec staging.Spec) (string, error) {
	w.specs = append(w.specs, spec)
	return "eval", w.note("register %s", short(spec.Session.ID))
}

func (w *world) Placement(_ context.Context, s staging.Session, _ string) (staging.PlacementFacts, error) {
	refused := w.refused
	if w.refusedIn[s.Zone] {
		refused = &staging.Failure{Message: "no room in " + s.Zone}
	}
	return staging.PlacementFacts{Refused: refused}, w.note("placement")
}

func (w *world) WaitRunning(context.Context, staging.Session) (staging.AllocFacts, error) {
	return staging.AllocFacts{ID: "a", Running: true}, w.note("running")
}

func (w *world) WaitOver(ctx context.Context, _ staging.Session) (staging.AllocFacts, error) {
	<-ctx.Done()
	return staging.AllocFacts{}, ctx.Err()
}

func (w *world) Stop(_ context.Context, s staging.Session) error {
	return w.note("stop %s", short(s.ID))
}
func (w *world) WithoutRedis() {}
func (w *world) Fates(context.Context) (map[string]staging.Fate, error) {
	return w.fates, w.note("fates")
}

func (w *world) Key(context.Context, string) (staging.KeyHold, error) {
	if w.keyHolder.Claim == "" {
		return staging.KeyHold{}, staging.ErrNoResource
	}
	return w.keyHolder, w.note("key")
}

func (w *world) Fate(_ context.Context, session string) (staging.Fate, error) {
	f, ok := w.fates[session]
	if !ok {
		return f, staging.ErrNoResource
	}
	return f, nil
}
func (w *world) ReleaseKey(context.Context, string, string) error { return w.note("let go") }
func (w *world) Passing(context.Context, string) ([]staging.Health, error) {
	var all []staging.Health
	for _, id := range w.inConsul {
		all = append(all, staging.Health{Session: id, AllocID: "a-" + id, Passing: true})
	}
	return all, w.note("look")
}

func (w *world) Find(_ context.Context, s staging.Session) (staging.Session, error) {
	s.Origin, s.Image, s.Staging, s.AllocID = staging.Staged, "hooked", "h", "a-"+s.ID
	s.Permits = staging.Permissions{}.Permits()
	return s, w.note("find %s", s.ID)
}
func (w *world) WaitPassing(context.Context, string, string) error { return w.note("passing") }
func (w *world) Run(_ context.Context, s staging.Session, name staging.HookName, _ staging.Hook, _ staging.Launch) error {
	if name != staging.HookAssign {
		return w.note("%s %s", name, short(s.ID))
	}
	if err := w.note("hook %s", s.ID); err != nil {
		return err
	}
	return w.fail["hook-of-"+s.ID]
}

// Ready implements broker.Hooks.
func (w *world) Ready(_ context.Context, s staging.Session, h staging.Hook) broker.Assignment {
	return worldAssignment{w.Run, s, h}
}

type worldAssignment struct {
	run func(context.Context, staging.Session, staging.HookName, staging.Hook, staging.Launch) error
	s   staging.Session
	h   staging.Hook
}

func (a worldAssignment) Run(ctx context.Context, l staging.Launch) error {
	return a.run(ctx, a.s, staging.HookAssign, a.h, l)
}
func (a worldAssignment) Drop() {}

func (w *world) Rebind(_ context.Context, key string, _ staging.Claim, s staging.Session, several ...string) error {
	return w.note("rebind %s %s", key, strings.Join(append([]string{short(s.ID)}, several...), " "))
}

func (w *world) Trusted(context.Context, string) (bool, error) {
	return !w.unvouched, w.fail["vouched"]
}

func (w *world) OwnRegion(context.Context, string) (bool, error) { return true, nil }
func (w *world) Attempt(staging.Step, staging.Outcome)           {}
func (w *world) Violation(staging.Violation)                     {}
func (w *world) Refused(refusal.Kind)                            {}
func (w *world) HookFailed(staging.HookName)                     {}
func (w *world) DetachKey(context.Context, string, string) error { return w.note("unhold") }
func (w *world) Adopt(_ context.Context, _ string, _ staging.Claim, session string) (staging.ClaimResult, error) {
	return staging.ClaimResult{Outcome: staging.ClaimTaken}, w.note("adopt %s", session)
}
func (w *world) Bind(context.Context, string, string) error { return w.note("bind") }
func (w *world) UserSessions(context.Context, string) ([]staging.Session, error) {
	return w.owned, nil
}

func (w *world) Keepalive(_ context.Context, id string) (staging.Session, error) {
	return staging.Session{}, &staging.StateError{Session: id, State: staging.Ending}
}

func (w *world) Note(_ context.Context, e staging.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}
func (w *world) Launched(staging.Origin, staging.Timings) {}

// short hides the fresh id of an on-demand session.
func short(id string) string {
	if strings.HasPrefix(id, staging.SessionPrefix) {
		return "new"
	}
	return id
}

// servers are all servers in memory.
type servers interface {
	broker.Registry
	broker.Store
	broker.Fleet
	broker.Health
	broker.Hooks
	broker.Meter
	sessions.Store
	admin.Registry
	admin.Fleet
}

// partsOf is a broker's parts for launches on the servers.
func partsOf(w servers, log *logrus.Entry) broker.Parts {
	return broker.Parts{
		Launch:   broker.LaunchParts{Registry: w, Store: w, Fleet: w, Health: w, Hooks: w, Meter: w},
		Sessions: sessions.Servers{Store: w, Registry: w, Fleet: w},
		Admin:    admin.Servers{Registry: w, Fleet: w},
		Log:      log,
	}
}

func on(w *world) *broker.Broker {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return broker.New(partsOf(w, logrus.NewEntry(log)), broker.Options{})
}

func launchIn(t *testing.T, w *world, image string, change ...func(*launch.Request)) (launch.Result, error) {
	t.Helper()
	req := launch.Request{
		Launch: staging.Launch{Image: image, Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute,
	}
	for _, f := range change {
		f(&req)
	}
	b := on(w)
	r, err := b.Launch(t.Context(), req)
	b.Close()
	return r, err
}

var errAway = errors.New("away")

func TestTheOrderOfALaunch(t *testing.T) {
	onDemand := []string{"begin", "decide new", "register new", "placement", "running", "passing", "running", "assign new"}
	cases := []struct {
		name  string
		image string
		world world
		want  []string // the calls, in order
		also  []string // calls that come whenever they come
		kind  refusal.Kind
		gets  string // the session
	}{
		{
			name: "the fate is decided before the hook and finished before the answer", image: "hooked", world: world{ready: []string{"s1"}},
			want: []string{"claim", "decide s1", "hook s1", "finished s1", "assign s1"}, gets: "s1",
		},
		{name: "without a hook one write decides", image: "plain", world: world{ready: []string{"s1"}}, want: []string{"claim", "decide s1", "assign s1"}, gets: "s1"},
		{
			name: "a session that is another's is left to him, the next is tried", image: "plain",
			world: world{ready: []string{"s1", "s2"}, decided: map[string]staging.Verdict{"s1": staging.VerdictAssigned}},
			want:  []string{"claim", "decide s1", "claim", "decide s2", "assign s2"}, also: []string{"restore s1 to other"}, gets: "s2",
		},
		{
			name: "a session that was retired is not given away", image: "plain",
			world: world{ready: []string{"s1"}, decided: map[string]staging.Verdict{"s1": staging.VerdictRetired}},
			want:  slices.Concat([]string{"claim", "decide s1", "claim"}, onDemand), also: []string{"end s1"}, gets: "new",
		},
		{
			name: "a hook that fails destroys its session, the next is tried", image: "hooked",
			world: world{ready: []string{"s1", "s2"}, fail: map[string]error{"hook-of-s1": errAway}},
			want:  []string{"claim", "decide s1", "hook s1", "claim", "decide s2", "hook s2", "finished s2", "assign s2"},
			also:  []string{"end s1", "stop s1"}, gets: "s2",
		},
		{
			name: "Consul's answer is lost: no hook, no reuse, an honest error", image: "hooked",
			world: world{ready: []string{"s1", "s2"}, fail: map[string]error{"decide": errAway}},
			want:  []string{"claim", "decide s1", "release"}, also: []string{"end s1", "retire s1", "stop s1"}, kind: refusal.ConsulUnavailable,
		},
		{
			name: "Consul fails after the hook: destroyed, since nobody can know", image: "hooked",
			world: world{ready: []string{"s1"}, fail: map[string]error{"finished": errAway}},
			want:  []string{"claim", "decide s1", "hook s1", "finished s1", "abandon s1", "release"}, also: []string{"end s1", "stop s1"}, kind: refusal.ConsulUnavailable,
		},
		{
			name: "Redis fails after Consul has it: the assignment stands", image: "plain",
			world: world{ready: []string{"s1"}, fail: map[string]error{"assign": errAway}},
			want:  []string{"claim", "decide s1", "assign s1"}, gets: "s1",
		},
		{
			name: "Redis is away and nothing passes: on demand, its fate says all", image: "plain",
			world: world{fail: map[string]error{"claim": errAway, "begin": errAway, "assign": errAway}},
			want:  append([]string{"claim", "look"}, onDemand...), also: []string{"restore new to u"}, gets: "new",
		},
		{
			name: "Redis is away: the oldest that Consul says passes and that is nobody's", image: "hooked",
			world: world{
				inConsul: []string{"s2", "s1"}, fail: map[string]error{"claim": errAway, "assign": errAway},
				decided: map[string]staging.Verdict{"s1": staging.VerdictAssigned},
			},
			want: []string{"claim", "look", "find s1", "decide s1", "find s2", "decide s2", "hook s2", "finished s2"},
			also: []string{"restore s1 to other", "restore s2 to u"}, gets: "s2",
		},
		{name: "nothing ready: on demand, born with its fate", image: "plain", want: append([]string{"claim"}, onDemand...), gets: "new"},
		{
			name: "no room: refused at once, nothing left", image: "plain", world: world{refused: &staging.Failure{Message: "not enough memory"}},
			want: []string{"claim", "begin", "decide new", "register new", "placement", "release"}, also: []string{"end new", "stop new"}, kind: refusal.NoCapacity,
		},
		{
			name: "Nomad does not take the job: stopped, in case it did", image: "plain", world: world{fail: map[string]error{"register": errAway}},
			want: []string{"claim", "begin", "decide new", "register new", "release"}, also: []string{"end new", "stop new"}, kind: refusal.NomadUnavailable,
		},
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			r, err := launchIn(t, &c.world, c.image)
			var got, also []string
			for _, call := range c.world.calls {
				// What goes on behind the answer has no place in the order.
				if slices.Contains(c.also, call) {
					also = append(also, call)
				} else {
					got = append(got, call)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			slices.Sort(also)
			if diff := cmp.Diff(c.also, also); diff != "" {
				t.Errorf("calls behind the answer (-want +got):\n%s", diff)
			}
			var refused *refusal.Error
			if c.kind != "" && (!errors.As(err, &refused) || refused.Kind != c.kind || len(refused.Attempts) == 0 && c.kind != refusal.RedisUnavailable) {
				t.Errorf("error %v, want kind %s with its attempts", err, c.kind)
			}
			if c.kind == "" && (err != nil || short(r.Session.ID) != c.gets || r.Session.State != staging.Assigned || !r.Session.ExpiresAt.IsZero()) {
				t.Errorf("session %+v, error %v; want %s, assigned, without an expiration", r.Session, err, c.gets)
			}
		})
	}
}

func TestALaunchThatMakesNoSenseTouchesNothing(t *testing.T) {
	w := &world{ready: []string{"s1"}}
	for _, image := range []string{"none", "Not A Name", ""} {
		_, err := launchIn(t, w, image)
		var invalid *staging.InvalidError
		if !errors.As(err, &invalid) || invalid.Fields[0].Field != "image" {
			t.Errorf("image %q: %v", image, err)
		}
	}
	if len(w.calls) != 0 {
		t.Errorf("it called %v", w.calls)
	}
}

// TestAHookThatAlwaysFailsDoesNotUseUpThePool: past a few, something is wrong with all.
func TestAHookThatAlwaysFailsDoesNotUseUpThePool(t *testing.T) {
	w := &world{fail: map[string]error{"hook": errAway}}
	for i := range 50 {
		w.ready = append(w.ready, fmt.Sprint("s", i))
	}
	r, err := launchIn(t, w, "hooked")
	if err != nil || r.Session.Origin != staging.OnDemand {
		t.Errorf("%+v %v", r.Session, err)
	}
	if used := 50 - len(w.ready); used > 5 {
		t.Errorf("one launch used up %d sessions", used)
	}
}

// TestAServerThatDidNotAnswerIsAskedBeforeAnythingIsClaimed: an outage costs the
// sessions that were being claimed as it began, and no more.
func TestAServerThatDidNotAnswerIsAskedBeforeAnythingIsClaimed(t *testing.T) {
	for what, c := range map[string]struct {
		fail map[string]error
		kind refusal.Kind
	}{
		"consul": {map[string]error{"decide": errAway, "ping": errAway}, refusal.ConsulUnavailable},
		"nomad":  {map[string]error{"hook": &staging.HookError{Untouched: true, Cause: errAway}, "ping": errAway}, refusal.NomadUnavailable},
	} {
		w := &world{ready: []string{"s1", "s2", "s3", "s4"}, fail: c.fail}
		b := on(w)
		req := launch.Request{Launch: staging.Launch{Image: "hooked", Zone: "east", User: staging.User{ID: "u", Name: "n"}}, Wait: time.Minute}
		for range 5 {
			_, err := b.Launch(t.Context(), req)
			var refused *refusal.Error
			if !errors.As(err, &refused) || refused.Kind != c.kind || refused.RetryAfter == 0 {
				t.Errorf("%s: %v", what, err)
			}
		}
		if len(w.ready) != 3 {
			t.Errorf("%s: %d of 4 sessions are left, want all but the one that was being claimed", what, len(w.ready))
		}
		w.mu.Lock()
		w.fail = nil
		w.mu.Unlock()
		if r, err := b.Launch(t.Context(), req); err != nil || r.Session.ID != "s2" {
			t.Errorf("%s is back: %+v %v", what, r.Session, err)
		}
		b.Close()
	}
}
