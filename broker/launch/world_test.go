package launch_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/quota"
	"github.com/greenroom/greenroom/internal/staging"
)

// world is every server that a broker leans on, in memory: it notes each call
// in order and fails where a test wants it to. The real servers are in the tests
// of cmd/greenroom; here it is about the order of things when they fail.
type world struct {
	// failing is the check for which every session fails.
	failing staging.FailingCheck
	// ends is why every session ends before it is up; nil for none that does. lastLine is what
	// its program wrote last, "" if Nomad does not tell.
	ends     *staging.Failure
	lastLine string
	// endedFor is why a scaler ends every session before it is up, of which Nomad knows nothing.
	endedFor string
	// generation is Consul's, newest the latest in Nomad.
	generation staging.Generation
	// later is what it is from the second reading on, if it is set.
	later  *staging.Generation
	newest uint64

	mu    sync.Mutex
	calls []string
	// ready are the pool's session ids, oldest first.
	ready []string
	// decided are sessions whose fate somebody else has decided already.
	decided map[string]staging.Verdict
	// fail makes the call of that name fail.
	fail map[string]error
	// refused is the scheduler's no; refusedIn and refusedOf are its no in some zones, and for some images, alone.
	refused              *staging.Failure
	refusedIn, refusedOf map[string]bool
	// pools are ready sessions by pool; what ready holds is any pool's.
	pools map[string][]string
	// madeIn are the zones of sessions that were made in another than their pool's.
	madeIn map[string]string
	// starting are those whose checks pass before Nomad runs their main task.
	starting map[string]bool
	// inConsul are sessions that pass their checks.
	inConsul []string
	// terms are those of the fate that was decided last.
	terms staging.Terms
	// fates are those that were decided before, keyHolder who holds the key in Consul.
	fates     map[string]staging.Fate
	keyHolder staging.KeyHold
	// keyInRedis is who holds it there; nobody where it is not set.
	keyInRedis staging.KeyHolder
	// inRedis are the sessions that can be read.
	inRedis map[string]staging.Session
	// resources are the default ones unless set.
	resources *staging.Resources
	// limited are the sessions that are too many; owned those of the user.
	limited []string
	owned   []staging.Session
	events  []staging.Event
	// unvouched: Redis is not believed.
	unvouched bool
	// locked: the user is locked, by what brokers have read; lockedInConsul: by Consul.
	locked, lockedInConsul bool
	// claim is that of the latest launch.
	claim staging.Claim
	// leases are those of the profiles, by path.
	leases map[string]staging.ProfileLease
	specs  []staging.Spec
	// reservations are the places that are held under limits, existing what counts for them
	// beside what has a fate.
	reservations staging.Reservations
	existing     []staging.SessionUse
	// changes are what becomes of a session that waits for room.
	changes []staging.Session
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

func (w *world) UserLocked(context.Context, string) (bool, error) {
	return w.locked, w.fail["locked"]
}

func (w *world) Refresh(context.Context) (staging.Resources, error) { return w.Resources(), nil }

func (w *world) Keys(context.Context, string) (staging.SigningKeys, error) {
	return staging.SigningKeys{{Key: []byte("secret")}}, nil
}

func (w *world) Ping(context.Context) error { return w.fail["ping"] }

func (w *world) Unclaim(_ context.Context, s staging.Session) error {
	w.mu.Lock()
	w.ready = append(w.ready, s.ID)
	w.mu.Unlock()
	return w.note("put back %s", s.ID)
}

func (w *world) Assign(_ context.Context, s staging.Session) (staging.Session, error) {
	err := w.note("assign %s", short(s.ID))
	s.State = staging.Assigned
	return s, err
}

func (w *world) Finish(_ context.Context, id, _, _ string) error { return w.note("end %s", short(id)) }

func (w *world) Restore(_ context.Context, s staging.Session, _ staging.Fate) (staging.State, error) {
	return s.State, w.note("restore %s to %s", short(s.ID), s.User.ID)
}

func (w *world) Release(_ context.Context, _, _, session string) error {
	if session == "" {
		return w.note("release")
	}
	if session == w.keyInRedis.Session {
		w.keyInRedis = staging.KeyHolder{}
	}
	return w.note("release of %s", session)
}

func (w *world) AbandonFate(_ context.Context, f staging.Fate, _ string) error {
	return w.note("abandon %s", f.Session)
}

func (w *world) Register(_ context.Context, spec staging.Spec) (string, error) {
	w.mu.Lock()
	w.specs = append(w.specs, spec)
	w.mu.Unlock()
	return "eval", w.note("register %s", short(spec.Session.ID))
}

func (w *world) Placement(_ context.Context, s staging.Session, _ string) (staging.PlacementFacts, error) {
	refused := w.refused
	if w.refusedIn[s.Zone] || w.refusedOf[s.Image] {
		refused = &staging.Failure{Message: "no room in " + s.Zone}
	}
	return staging.PlacementFacts{Refused: refused}, w.note("placement")
}

func (w *world) WaitRunning(context.Context, staging.Session) (staging.AllocFacts, error) {
	return staging.AllocFacts{ID: "a", Running: true}, w.note("running")
}

func (w *world) WaitOver(ctx context.Context, _ staging.Session) (staging.AllocFacts, error) {
	if w.ends != nil {
		return staging.AllocFacts{ID: "a", NodeID: "n", Over: true, Failure: w.ends, FailedTask: "session"}, nil
	}
	if w.endedFor != "" {
		return staging.AllocFacts{ID: "a", NodeID: "n", Over: true}, nil
	}
	<-ctx.Done()
	return staging.AllocFacts{}, ctx.Err()
}

func (w *world) Stop(_ context.Context, s staging.Session) error {
	return w.note("stop %s", short(s.ID))
}
func (w *world) WithoutRedis() {}

func (w *world) Decided(context.Context, []string) (map[string]bool, error) {
	all := map[string]bool{}
	for id := range w.fates {
		all[id] = true
	}
	return all, w.fail["decided"]
}

func (w *world) Generation(context.Context) (staging.Generation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.generation
	if w.later != nil {
		w.generation = *w.later
	}
	return now, nil
}

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
	if zone, ok := w.madeIn[s.ID]; ok {
		s.Zone = zone
	}
	if w.starting[s.ID] {
		s.State = staging.Starting
	}
	return s, w.note("find %s", s.ID)
}

func (w *world) NewestGeneration(context.Context, staging.Zone) (uint64, error) {
	return w.newest, nil
}

func (w *world) LastLine(_ context.Context, _ staging.Session, _ staging.AllocFacts, task string) (string, error) {
	if w.lastLine == "" {
		return "", errAway
	}
	return task + " says " + w.lastLine, nil
}

func (w *world) FailingCheck(context.Context, staging.Session) (staging.FailingCheck, error) {
	return w.failing, nil
}

func (w *world) WaitPassing(ctx context.Context, _, _ string) error {
	if w.ends != nil || w.failing.Name != "" || w.endedFor != "" {
		<-ctx.Done()
		return ctx.Err()
	}
	return w.note("passing")
}

func (w *world) Run(_ context.Context, s staging.Session, name staging.HookName, _ staging.Hook, _ staging.Launch) error {
	if name != staging.HookAssign {
		return w.note("%s %s", name, short(s.ID))
	}
	if err := w.note("hook %s", s.ID); err != nil {
		return err
	}
	return w.fail["hook-of-"+s.ID]
}

// Ready implements launch.Hooks.
func (w *world) Ready(_ context.Context, s staging.Session, h staging.Hook) launch.Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return worldAssignment{w.Run, s, h, w.fail["open"]}
}

type worldAssignment struct {
	run func(context.Context, staging.Session, staging.HookName, staging.Hook, staging.Launch) error
	s   staging.Session
	h   staging.Hook
	// open is what comes of the opening of a shell.
	open error
}

func (a worldAssignment) Run(ctx context.Context, l staging.Launch) error {
	return a.run(ctx, a.s, staging.HookAssign, a.h, l)
}
func (a worldAssignment) Drop() {}

// Open implements launch.Assignment.
func (a worldAssignment) Open(context.Context) error { return a.open }

func (w *world) Trusted(context.Context, string) (bool, error) {
	return !w.unvouched, w.fail["vouched"]
}

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

func (w *world) Note(_ context.Context, e staging.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}
func (w *world) OnDemandQueued(time.Duration, bool)       {}
func (w *world) Launched(staging.Origin, staging.Timings) {}

// short hides the fresh id of an on-demand session.
func short(id string) string {
	if strings.HasPrefix(id, staging.SessionPrefix) {
		return "new"
	}
	return id
}

func (w *world) CreateFates(_ context.Context, fates []staging.Fate) ([]staging.Fate, map[string]staging.Fate, error) {
	ids := make([]string, len(fates))
	for i, f := range fates {
		ids[i] = short(f.Session)
	}
	call := map[staging.Verdict]string{staging.VerdictAssigned: "decide", staging.VerdictRetired: "retire"}[fates[0].Verdict]
	if err := w.note("%s %s", call, strings.Join(ids, " ")); err != nil {
		return nil, nil, err
	}
	if w.lockedInConsul && fates[0].User != nil {
		return nil, nil, &access.LockedError{UserID: fates[0].User.ID}
	}
	lost := map[string]staging.Fate{}
	for i, f := range fates {
		w.terms = f.Terms
		if v, ok := w.decided[f.Session]; ok {
			lost[f.Session] = staging.Fate{Session: f.Session, Verdict: v, Claim: "another", User: &staging.User{ID: "other"}}
		}
		if fates[i].Index = 1; f.Fingerprint != "" {
			fates[i].KeyIndex = 1
		}
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
	if len(fates) == 1 {
		return w.note("finished %s", fates[0].Session)
	}
	return w.note("finished %d", len(fates))
}

func (w *world) Claim(_ context.Context, pools []staging.Config, n int, c staging.Claim) (staging.ClaimResult, error) {
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	call := "claim"
	if n > 1 {
		call = fmt.Sprintf("claim %d of %s", n, strings.Join(names, " "))
	}
	if err := w.note("%s", call); err != nil {
		return staging.ClaimResult{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claim = c
	if w.limited != nil {
		return staging.ClaimResult{Outcome: staging.ClaimLimit, Held: w.limited}, nil
	}
	if w.keyInRedis.Claim != "" {
		if w.keyInRedis.Fingerprint == "" {
			w.keyInRedis.Fingerprint = c.Fingerprint
		}
		return staging.ClaimResult{Outcome: staging.ClaimRepeat}, nil
	}
	r := staging.ClaimResult{Outcome: staging.ClaimTaken}
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
					ID: id, State: staging.Claimed, Origin: staging.Staged, Zone: p.Zone, Image: c.Image, Claim: c.ID, User: &c.User,
					Staging: p.Name, ExpiresAt: time.Now(),
				})
			}
		}
	}
	if len(r.Sessions) < n {
		return staging.ClaimResult{Outcome: staging.ClaimEmpty, Ready: r.Ready}, nil
	}
	gone := func(id string) bool { return slices.Contains(ids, id) }
	w.ready = slices.DeleteFunc(w.ready, gone)
	for name := range w.pools {
		w.pools[name] = slices.DeleteFunc(w.pools[name], gone)
	}
	return r, nil
}

func (w *world) Begin(_ context.Context, s staging.Session, c staging.Claim) (staging.ClaimResult, error) {
	err := w.note("begin")
	if w.limited != nil {
		return staging.ClaimResult{Outcome: staging.ClaimLimit, Held: w.limited}, err
	}
	s.Claim, s.User = c.ID, &c.User
	return staging.ClaimResult{Outcome: staging.ClaimTaken, Sessions: []staging.Session{s}}, err
}

func (w *world) KeyHolder(context.Context, string) (staging.KeyHolder, error) {
	return w.keyInRedis, nil
}

func (w *world) TakeProfile(_ context.Context, lease staging.ProfileLease) (bool, staging.ProfileLease, error) {
	w.mu.Lock()
	holder, held := w.leases[lease.Path]
	if !held {
		if w.leases == nil {
			w.leases = map[string]staging.ProfileLease{}
		}
		w.leases[lease.Path] = lease
	}
	w.mu.Unlock()
	return !held, holder, w.note("lease %s", lease.Path)
}

func (w *world) ProfileHolder(_ context.Context, path string) (staging.ProfileLease, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leases[path], nil
}

func (w *world) ReleaseProfile(_ context.Context, lease staging.ProfileLease) error {
	w.mu.Lock()
	if w.leases[lease.Path].Session == lease.Session {
		delete(w.leases, lease.Path)
	}
	w.mu.Unlock()
	return w.note("free %s", lease.Path)
}

func (w *world) KeepKey(context.Context, string, string, time.Duration) error {
	return w.note("keep key")
}
func (w *world) RenewKey(context.Context, string, string) error { return w.note("renew key") }

// Session implements launch.Sessions.
func (w *world) Session(_ context.Context, id string) (staging.Session, error) {
	if s, ok := w.inRedis[id]; ok {
		return s, nil
	}
	if w.endedFor != "" {
		return staging.Session{ID: id, State: staging.Ending, Reason: w.endedFor}, nil
	}
	return staging.Session{}, &refusal.Error{Kind: refusal.NotFound, Detail: id}
}

// SessionAfter implements launch.Sessions.
func (w *world) SessionAfter(ctx context.Context, id string, index uint64, _ time.Duration) (staging.Session, uint64, error) {
	s, err := w.Session(ctx, id)
	return s, index, err
}

func (w *world) Rebind(_ context.Context, key string, _ staging.Claim, holder staging.KeyHolder) error {
	return w.note("rebind %s %s", key, strings.Join(holder.Sessions, " "))
}

// servers are the interfaces of every server that a launch leans on.
type servers interface {
	launch.Resources
	launch.Locks
	launch.Fates
	launch.Store
	launch.Keys
	launch.Profiles
	launch.Sessions
	launch.Health
	launch.Hooks
	launch.Meter
}

// launcher is a launcher with what it runs in the background.
type launcher struct {
	*launch.Launcher
	background *background.Group
}

// Close waits for what runs in the background.
func (l launcher) Close() {
	l.Launcher.Close()
	l.background.Wait()
}

// one launches one session.
func (l launcher) one(ctx context.Context, req launch.Request) (launch.Result, error) {
	all, err := l.Launch(ctx, req)
	if len(all) == 0 {
		return launch.Result{}, err
	}
	return all[0], err
}

// on returns a launcher on servers in memory; tasks bounds what runs in the background.
func on(w allServers, tasks int, bounds launch.Bounds) launcher {
	return with(w, tasks, launch.Options{Bounds: bounds})
}

// allServers are the interfaces of every server.
type allServers interface {
	servers
	launch.Fleet
	limits
}

// with is on with other options, and servers.
func with(w allServers, tasks int, options launch.Options, change ...func(*launch.Servers)) launcher {
	log := logrus.New()
	log.SetOutput(io.Discard)
	l := launcher{background: background.New(tasks)}
	on := launch.Servers{Resources: w, Locks: w, Fates: w, Store: w, Keys: w, Profiles: w, Quota: quota.New(w, w), Fleet: w, Health: w, Hooks: w, Meter: w}
	for _, f := range change {
		f(&on)
	}
	l.Launcher = launch.New(launch.Parts{
		Servers: on, Sessions: w, Background: l.background, Log: logrus.NewEntry(log),
	}, options)
	return l
}

// manyTasks is room for everything that a test does in the background.
const manyTasks = 1000

// launchIn launches one session of an image.
func launchIn(t *testing.T, w *world, image string, change ...func(*launch.Request)) (launch.Result, error) {
	t.Helper()
	all, err := launchSeveralIn(t, w, image, 0, change...)
	if len(all) == 0 {
		return launch.Result{}, err
	}
	if len(all) > 1 {
		t.Errorf("%d sessions for a launch of one", len(all))
	}
	return all[0], err
}
