package httpapi_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// fake is what the broker's rooms have in memory: this package's tests are about the edge,
// and the rooms' own run on the real servers. What is not set behaves as a broker without
// any resource or session.
type fake struct {
	// links is nil where the broker knows no gateway.
	links    httpapi.Links
	mu       sync.Mutex
	zones    map[string]staging.Zone
	images   map[string]staging.Image
	groups   map[string]staging.Group
	pools    map[string]status.Pool
	sessions map[string]staging.Session
	tokens   map[string]access.Token
	locked   map[string]access.UserLock
	webhooks map[string]staging.Webhook
	paused   map[string]staging.Pause
	// failing are sessions' failing checks.
	failing map[string]staging.FailingCheck
	// lastUsed are when tokens were used, lastUses how often that was recorded.
	lastUsed map[string]time.Time
	lastUses int
	// fail is what every call fails with.
	fail error
	// launch answers launches; last is the latest.
	launch func(ctx context.Context, r launch.Request) (launch.Result, error)
	last   launch.Request
	// launchable is what may be launched, asked for whom that was listed last.
	launchable []launch.Launchable
	asked      launch.For
	// access, checked, filter and logged are those of the latest call.
	access  sessions.Access
	checked admin.Set
	filter  staging.SessionFilter
	logged  sessions.LogRequest
	// ran are the commands that were run in sessions.
	ran    []staging.Hook
	down   map[string]string
	status status.Status
	// audits are the records of denied calls.
	audits []staging.Audit
	// attempted are the paths of the calls that were recorded before they were made, used the
	// calls that showed that a token is in use, and traced the records that have no event.
	// unwritable is what every attempt fails with.
	attempted    []string
	used         []access.Call
	traced       []string
	tracedAfter  []any
	unwritable   error
	bootstrapped bool
	// index and wait are those of the latest reading of a session; change ends a wait.
	index  uint64
	wait   time.Duration
	change chan struct{}
	// after is where the latest stream was to begin, pages what each returns.
	after string
	pages []fakePage
	// drained is called where a stream has no more pages; nil for nothing.
	drained func()
}

func newFake() *fake {
	return &fake{
		links: fakeLinks{},
		zones: map[string]staging.Zone{}, images: map[string]staging.Image{}, groups: map[string]staging.Group{},
		pools: map[string]status.Pool{}, sessions: map[string]staging.Session{}, tokens: map[string]access.Token{}, locked: map[string]access.UserLock{}, webhooks: map[string]staging.Webhook{}, paused: map[string]staging.Pause{}, lastUsed: map[string]time.Time{},
		status: status.Status{Health: status.HealthOK},
	}
}

// fakeLinks makes links that say what they were made for.
type fakeLinks struct{}

// Make implements httpapi.Links.
func (fakeLinks) Make(_ context.Context, s staging.Session, port, path string) (gateway.Link, error) {
	if port == "ssh" {
		return gateway.Link{}, staging.Invalid("link", "port", "session %s has no port %q", s.ID, port)
	}
	return gateway.Link{URL: "https://desk.example.org/s/" + s.ID + "/.greenroom/open?" + port + path, ExpiresAt: time.Now()}, nil
}

// broker is the rooms as the edge needs them.
func (f *fake) broker() httpapi.Broker {
	return httpapi.Broker{
		Launcher: f, Events: f, Checker: f, Auditor: f, Monitor: fakeMonitor{f},
		Sessions:     fakeSessions{f},
		Links:        f.links,
		Installation: fakeInstallation{},
		Zones:        table[staging.Zone]{f, f.zones, "zone", func(z staging.Zone) (string, error) { return z.Name, z.Validate() }},
		Images:       table[staging.Image]{f, f.images, "image", func(i staging.Image) (string, error) { return i.Name, i.Validate() }},
		Groups:       table[staging.Group]{f, f.groups, "group", func(g staging.Group) (string, error) { return g.Name, g.Validate() }},
		Pools: fakePools{table[status.Pool]{f, f.pools, "staging config", func(p status.Pool) (string, error) {
			return p.Name, p.Validate(staging.DefaultLimits)
		}}},
		Pauses:    fakePauses{table[staging.Pause]{f, f.paused, "pause", func(p staging.Pause) (string, error) { return p.PauseTarget.String(), p.Validate() }}},
		Secrets:   f,
		Webhooks:  fakeWebhooks{table[staging.Webhook]{f, f.webhooks, "webhook", func(w staging.Webhook) (string, error) { return w.Name, w.Validate() }}},
		Tokens:    fakeTokens{table[access.Token]{f, f.tokens, "token", func(t access.Token) (string, error) { return t.Accessor, nil }}},
		UserLocks: fakeUserLocks{table[access.UserLock]{f, f.locked, "locked user", func(l access.UserLock) (string, error) { return l.UserID, nil }}},
	}
}

// table is the resources of one kind.
type table[T any] struct {
	f    *fake
	all  map[string]T
	what string
	// check returns a value's name, and why it is not valid.
	check func(T) (string, error)
}

func (r table[T]) List(context.Context) ([]T, error) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	var all []T
	for _, name := range slices.SortedFunc(maps.Keys(r.all), cmp.Compare) {
		all = append(all, r.all[name])
	}
	return all, r.f.fail
}

func (r table[T]) Get(_ context.Context, name string) (T, error) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	v, ok := r.all[name]
	switch {
	case r.f.fail != nil:
		return v, r.f.fail
	case !ok:
		return v, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no " + r.what + " \"" + name + "\""}
	}
	return v, nil
}

func (r table[T]) Put(_ context.Context, v T) (stored T, created bool, _ error) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	name, err := r.check(v)
	if err = cmp.Or(r.f.fail, err); err != nil {
		return v, false, err
	}
	_, had := r.all[name]
	r.all[name] = v
	return v, !had, nil
}

func (r table[T]) Delete(ctx context.Context, name string) error {
	if _, err := r.Get(ctx, name); err != nil {
		return err
	}
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	delete(r.all, name)
	return nil
}

// Rotate answers with the overlap.
func (f *fake) Rotate(_ context.Context, overlap staging.Duration) (staging.Rotation, error) {
	if err := cmp.Or(f.fail, staging.ValidateOverlap(overlap)); err != nil {
		return staging.Rotation{}, err
	}
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	return staging.Rotation{Names: []string{"access", "login"}, SignsFrom: at, AcceptedUntil: at.Add(overlap.Std())}, nil
}

// fakeInstallation shares its Nomad with another one.
type fakeInstallation struct{}

func (fakeInstallation) Get(context.Context) (admin.InstallationInfo, error) {
	const id = "gi-01kb1m7c2v9x4t6r8n0p3s5w7y"
	return admin.InstallationInfo{
		Installation: staging.Installation{ID: id}, Names: staging.DefaultNames,
		Foreign: []staging.Foreign{{Installation: "gi-01jd9q5r2v7c8k3m4n6p0s1t2x", Sessions: 7777}},
	}, nil
}

func (i fakeInstallation) TakeOver(ctx context.Context, _ string) (admin.InstallationInfo, error) {
	return i.Get(ctx)
}

type fakePools struct{ table[status.Pool] }

func (r fakePools) Put(ctx context.Context, c staging.Config) (status.Pool, bool, error) {
	p := status.Pool{Config: c, Wanted: staging.Wanted{Sessions: c.DesiredSessions}, Fill: staging.Full}
	p, created, err := r.table.Put(ctx, p)
	return p, created, err
}

func (r fakePools) Recycle(ctx context.Context, name string, olderThan staging.Duration) (status.Pool, error) {
	p, err := r.Get(ctx, name)
	if err == nil {
		p.Recycle = &staging.Recycle{Before: time.Now().Add(-olderThan.Std()), OrderedBy: access.CallOf(ctx).Caller.Who(), OrderedAt: time.Now()}
	}
	return p, err
}

func (r fakePools) Retry(ctx context.Context, name string) (status.Pool, error) {
	return r.Get(ctx, name)
}

type fakePauses struct{ table[staging.Pause] }

func (r fakePauses) Pause(ctx context.Context, t staging.PauseTarget, reason string) (staging.Pause, bool, error) {
	p, created, err := r.Put(ctx, staging.Pause{PauseTarget: t, Reason: reason, PausedBy: access.CallOf(ctx).Caller.Who(), PausedAt: time.Now()})
	return p, created, err
}

func (r fakePauses) Resume(ctx context.Context, t staging.PauseTarget) error {
	return r.Delete(ctx, t.String())
}

type fakeTokens struct{ table[access.Token] }

func (r fakeTokens) List(ctx context.Context) (all []admin.TokenInfo, err error) {
	tokens, err := r.table.List(ctx)
	for _, t := range tokens {
		all = append(all, admin.TokenInfo{Token: t, LastUsed: r.f.lastUsed[t.Accessor]})
	}
	return all, err
}

func (r fakeTokens) Rotate(ctx context.Context, accessor string, q access.Rotation) (access.Token, string, error) {
	old, err := r.Get(ctx, accessor)
	if err != nil {
		return old, "", err
	}
	t, secret, err := old.Rotate(q, time.Now())
	if err == nil {
		_, _, err = r.Put(ctx, t)
	}
	return t, secret, err
}

func (r fakeTokens) Used(accessor string, at time.Time) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.f.lastUsed[accessor] = at
	r.f.lastUses++
}

func (r fakeTokens) Create(ctx context.Context, q access.TokenRequest) (access.Token, string, error) {
	t, secret := access.NewToken(q, time.Now())
	if err := q.Validate(); err != nil {
		return t, secret, cmp.Or(r.f.fail, err)
	}
	_, _, err := r.Put(ctx, t)
	return t, secret, err
}

func (r fakeTokens) Revoke(ctx context.Context, accessor string) error {
	return r.Delete(ctx, accessor)
}

func (r fakeTokens) Bootstrap(ctx context.Context) (access.Token, string, error) {
	r.f.mu.Lock()
	done := r.f.bootstrapped
	r.f.bootstrapped = true
	r.f.mu.Unlock()
	if done {
		return access.Token{}, "", &refusal.Error{Kind: refusal.Bootstrapped, Detail: "delete the key"}
	}
	return r.Create(ctx, access.TokenRequest{Name: "bootstrap", Role: access.Admin})
}

type fakeUserLocks struct{ table[access.UserLock] }

func (r fakeUserLocks) Lock(ctx context.Context, q access.UserLockRequest) (admin.LockedUser, error) {
	if err := q.Validate(); err != nil {
		return admin.LockedUser{}, err
	}
	l := access.UserLock{UserID: q.UserID, Reason: q.Reason, LockedBy: access.CallOf(ctx).Caller.Who(), LockedAt: time.Now()}
	_, made, err := r.Put(ctx, l)
	return admin.LockedUser{UserLock: l, Made: made, Ended: []string{"gr-1"}}, err
}

func (r fakeUserLocks) Unlock(ctx context.Context, userID string) error {
	return r.Delete(ctx, userID)
}

// locks are the locked users, as a guard reads them.
func (r fakeUserLocks) locks() *access.UserLocks {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	byKey := map[string]access.UserLock{}
	for id, l := range r.all {
		byKey[access.LockKey(id)] = l
	}
	return access.NewUserLocks(byKey, 1)
}

// Launch answers with one session, as often as the request counts.
func (f *fake) Launch(ctx context.Context, r launch.Request) ([]launch.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	if f.fail != nil {
		return nil, f.fail
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	one := launch.Result{
		Session: assignedSession(), Token: "tok", ConnectURL: "https://x/?token=tok",
		Attempts: []staging.Attempt{{Step: staging.StepStaged, Zone: "east", Outcome: staging.OutcomeServed}},
		Timings:  staging.Timings{Claim: 412 * time.Microsecond, Fence: 2 * time.Millisecond, Total: 3 * time.Millisecond},
	}
	if f.launch != nil {
		var err error
		if one, err = f.launch(ctx, r); err != nil {
			return nil, err
		}
	}
	return slices.Repeat([]launch.Result{one}, max(r.Count, 1)), nil
}

// Launchable answers with what is set, and notes the request.
func (f *fake) Launchable(_ context.Context, r launch.For) ([]launch.Launchable, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = r
	return f.launchable, f.fail
}

// fields of an assigned session, all set, so that a test sees each in its answer.
func assignedSession() staging.Session {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	return staging.Session{
		ID: "gr-1", State: staging.Assigned, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "demo-east",
		Revision: "6f1d0a9c2b7e", Claim: "secret-claim", User: &staging.User{ID: "u-1", Name: "alice"},
		Namespace: "default", Region: "global", AllocID: "a", NodeID: "n", Task: "main",
		Address: "127.0.0.1", Ports: map[string]int{"http": 23817},
		CreatedAt: at, ReadyAt: at.Add(time.Second), AssignedAt: at.Add(time.Minute),
		KeepaliveAt: at.Add(2 * time.Minute), VisitedAt: at.Add(90 * time.Second),
		Terms: staging.Terms{Keepalive: staging.Duration(5 * time.Minute), TimeLimit: staging.Duration(time.Hour), Idle: staging.Duration(30 * time.Minute)},
	}
}

type fakeSessions struct{ *fake }

func (r fakeSessions) Session(ctx context.Context, id string) (staging.Session, error) {
	return table[staging.Session]{f: r.fake, all: r.sessions, what: "session"}.Get(ctx, id)
}

// SessionAfter notes its arguments, and answers when change is closed, or the wait is over.
func (r fakeSessions) SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (staging.Session, uint64, error) {
	r.mu.Lock()
	r.index, r.wait = index, wait
	change := r.change
	r.mu.Unlock()
	if index > 0 && change != nil {
		select {
		case <-change:
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	s, err := r.Session(ctx, id)
	return s, 41000, err
}

func (r fakeSessions) FailingCheck(_ context.Context, s staging.Session) staging.FailingCheck {
	return r.failing[s.ID]
}

// Log notes its arguments, and answers with one line.
func (r fakeSessions) Log(ctx context.Context, id string, q sessions.LogRequest) (staging.LogTail, error) {
	r.mu.Lock()
	r.logged = q
	r.mu.Unlock()
	_, err := r.Session(ctx, id)
	return staging.LogTail{Task: cmp.Or(q.Task, "main"), Stream: q.Stream, Tasks: []string{"main", "proxy"}, Text: "up\n", Truncated: true}, err
}

func (r fakeSessions) List(_ context.Context, filter staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.filter = filter
	all := slices.Collect(maps.Values(r.sessions))
	all = slices.DeleteFunc(all, func(s staging.Session) bool { return !filter.Lets(s) || staging.PositionOf(s).Compare(after) <= 0 })
	slices.SortFunc(all, func(a, b staging.Session) int { return staging.PositionOf(a).Compare(staging.PositionOf(b)) })
	page := staging.SessionPage{Items: all}
	if len(all) > limit {
		page = staging.SessionPage{Items: all[:limit], More: true, Next: staging.PositionOf(all[limit-1])}
	}
	return page, r.fail
}

func (r fakeSessions) End(ctx context.Context, id string) error {
	return table[staging.Session]{f: r.fake, all: r.sessions, what: "session"}.Delete(ctx, id)
}

func (r fakeSessions) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	return r.Session(ctx, id)
}

// Extend extends a session by what was asked for, within its terms.
func (r fakeSessions) Extend(ctx context.Context, id string, by staging.ExtendBy) (staging.Session, error) {
	if err := by.Validate(); err != nil {
		return staging.Session{}, err
	}
	s, err := r.Session(ctx, id)
	fate, outcome := staging.Fate{Terms: s.Terms}.Extend(s.EndsAt(), by)
	if err == nil && outcome == staging.BeyondMaxExtension {
		return s, &refusal.Error{Kind: refusal.ExtensionLimit, Detail: "its max_extension"}
	}
	s.Terms = fate.Terms
	return s, err
}

// Run notes the command.
func (r fakeSessions) Run(ctx context.Context, id string, command staging.Hook) error {
	_, err := r.Session(ctx, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran = append(r.ran, command)
	return err
}

// Authorize knows one token.
func (r fakeSessions) Authorize(_ context.Context, a sessions.Access) (staging.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.access = a
	switch {
	case r.fail != nil:
		return staging.Session{}, r.fail
	case !slices.Contains(a.Tokens, "right"):
		return staging.Session{}, &refusal.Error{Kind: refusal.Unauthorized, Detail: "send the session's access token"}
	case a.Origin == "https://foreign.example":
		return staging.Session{}, &refusal.Error{Kind: refusal.Forbidden, Detail: "foreign"}
	}
	s := assignedSession()
	s.User.Name = "Zoë\n"
	return s, nil
}

// Follow returns pages of events, then nothing until ctx is done.
func (f *fake) Follow(_ context.Context, after string) (events.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = after
	return &fakeStream{pages: f.pages, drained: f.drained}, f.fail
}

type fakeStream struct {
	pages   []fakePage
	drained func()
}

type fakePage struct {
	events []staging.Event
	gap    bool
}

func (s *fakeStream) Next(ctx context.Context, _ time.Duration) ([]staging.Event, bool, error) {
	if len(s.pages) == 0 {
		if s.drained != nil {
			s.drained()
		}
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	p := s.pages[0]
	s.pages = s.pages[1:]
	return p.events, p.gap, nil
}

func (*fakeStream) Close() {}

func (f *fake) Attempt(_ context.Context, target string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempted = append(f.attempted, target)
	return f.unwritable
}

func (f *fake) Used(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = append(f.used, access.CallOf(ctx))
}

func (f *fake) Trace(ctx context.Context, what, name string, after any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := access.CallOf(ctx)
	f.tracedAfter = append(f.tracedAfter, after)
	f.traced = append(f.traced, call.Caller.Who()+" "+call.Operation+" "+what+" "+name)
}

// Read adds to traced.
func (f *fake) Read(ctx context.Context, what, name string) { f.Trace(ctx, what, name, nil) }

func (f *fake) Audit(_ context.Context, a staging.Audit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.audits = append(f.audits, a)
}

func (f *fake) Warnings(_ context.Context, images []staging.Image) []string {
	var all []string
	for _, i := range images {
		if strings.Contains(i.Jobspec, "spread") {
			all = append(all, fmt.Sprintf("image %q: jobspec: the spread of the job has no effect", i.Name))
		}
	}
	return all
}

func (f *fake) Check(_ context.Context, set admin.Set) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = set
	return f.fail
}

type fakeMonitor struct{ *fake }

func (m fakeMonitor) Status(context.Context) status.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

func (m fakeMonitor) Dependencies(context.Context) []status.Dependency {
	return []status.Dependency{
		{Name: "consul", Problem: m.down["consul"]},
		{Name: "nomad", Problem: m.down["nomad"]},
		{Name: "redis", Problem: m.down["redis"]},
	}
}

func (m fakeMonitor) History(ctx context.Context, name string, since time.Time) ([]staging.Minute, time.Time, error) {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	_, err := table[status.Pool]{f: m.fake, all: m.pools, what: "staging config"}.Get(ctx, name)
	return []staging.Minute{{At: at, Ready: new(2), Claims: 1, Misses: 1}}, at.Add(90 * time.Second), err
}

// fakeWebhooks are webhooks whose receivers answer 503.
type fakeWebhooks struct{ table[staging.Webhook] }

func (w fakeWebhooks) Deliveries(ctx context.Context, name string) (d staging.WebhookDeliveries, err error) {
	_, err = w.Get(ctx, name)
	return d, err
}

func (w fakeWebhooks) DeadLetters(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error) {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	all := []staging.WebhookMessage{}
	for _, id := range []string{"1-0", "2-0", "3-0"} {
		if staging.CompareEventIDs(id, after) > 0 {
			all = append(all, staging.WebhookMessage{
				Position: id, Event: staging.Event{ID: id, Type: staging.EventEnded, At: at, Session: "gr-1"},
				Tries: staging.WebhookTries{Count: 3, First: at, Last: at, Error: "the receiver answered 503"},
			})
		}
	}
	_, err := w.Get(ctx, name)
	return all[:min(count, len(all))], err
}

func (w fakeWebhooks) Replay(ctx context.Context, name string, ids []string) (int, error) {
	_, err := w.Get(ctx, name)
	return len(ids), err
}

func (w fakeWebhooks) Test(ctx context.Context, name string, _ staging.Event) (failed, err error) {
	_, err = w.Get(ctx, name)
	return errors.New("the receiver answered 503"), err
}

func (m fakeMonitor) Forecast(context.Context, string) ([]staging.Forecast, error) {
	at := time.Date(2026, 11, 24, 6, 21, 0, 0, time.UTC)
	return []staging.Forecast{{At: at, Expected: 2, Low: 1, High: 3}, {At: at.Add(staging.ForecastStep), Expected: 4, Low: 2, High: 7}}, nil
}
