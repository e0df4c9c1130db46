package httpapi_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// fake is a broker in memory: this package's tests are about the edge, and the
// broker's own run on the real servers. What is not set behaves as a broker
// that knows nothing.
type fake struct {
	mu       sync.Mutex
	zones    map[string]staging.Zone
	images   map[string]staging.Image
	groups   map[string]staging.Group
	pools    map[string]broker.Pool
	sessions map[string]staging.Session
	// fail is what every call fails with.
	fail error
	// launch answers launches; last is the latest.
	launch func(ctx context.Context, r launch.Request) (launch.Result, error)
	last   launch.Request
	access broker.Access
	down   map[string]string
	// tokens are those created, audits what auditors were told.
	tokens       map[string]access.Token
	bootstrapped bool
	audits       []staging.Audit
	// checked is the latest set.
	checked broker.ResourceSet
	// filter is the latest list of sessions'.
	filter staging.SessionFilter
	status broker.Status
	// index and wait are those of the latest reading of a session; change ends a wait.
	index  uint64
	wait   time.Duration
	change chan struct{}
	// after is where the latest stream was to begin, pages what each gives.
	after string
	pages []fakePage
}

func newFake() *fake {
	return &fake{
		zones: map[string]staging.Zone{}, images: map[string]staging.Image{}, groups: map[string]staging.Group{},
		pools: map[string]broker.Pool{}, sessions: map[string]staging.Session{},
		tokens: map[string]access.Token{},
		status: broker.Status{Standing: broker.StandingOK},
	}
}

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
	if f.launch != nil {
		one, err := f.launch(ctx, r)
		return []launch.Result{one}, err
	}
	one := launch.Result{
		Session: assignedSession(), Token: "tok", ConnectURL: "https://x/?token=tok",
		Attempts: []staging.Attempt{{Step: staging.StepStaged, Zone: "east", Outcome: staging.OutcomeServed}},
		Timings:  staging.Timings{Claim: 412 * time.Microsecond, Fence: 2 * time.Millisecond, Total: 3 * time.Millisecond},
	}
	return slices.Repeat([]launch.Result{one}, max(1, r.Count)), nil
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
		KeepaliveAt: at.Add(2 * time.Minute),
		Terms:       staging.Terms{Keepalive: staging.Duration(5 * time.Minute), TimeLimit: staging.Duration(time.Hour)},
	}
}

func (f *fake) History(_ context.Context, name string) ([]staging.Minute, time.Time, error) {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	_, err := read(f, f.pools, "staging config", name)
	return []staging.Minute{{At: at, Ready: new(2), Claims: 1, Misses: 1}}, at.Add(90 * time.Second), err
}

func read[T any](f *fake, m map[string]T, what, name string) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := m[name]
	switch {
	case f.fail != nil:
		return v, f.fail
	case !ok:
		return v, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no " + what + " \"" + name + "\""}
	}
	return v, nil
}

func list[T any](f *fake, m map[string]T) ([]T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []T
	for _, name := range slices.SortedFunc(maps.Keys(m), cmp.Compare) {
		all = append(all, m[name])
	}
	return all, f.fail
}

func put[T any](f *fake, m map[string]T, name string, v T, err error) (created bool, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err = cmp.Or(f.fail, err); err != nil {
		return false, err
	}
	_, had := m[name]
	m[name] = v
	return !had, nil
}

func remove[T any](f *fake, m map[string]T, what, name string) error {
	if _, err := read(f, m, what, name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(m, name)
	return nil
}

func (f *fake) Session(_ context.Context, id string) (staging.Session, error) {
	return read(f, f.sessions, "session", id)
}

func (f *fake) Status(context.Context) broker.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// SessionAfter notes what is asked for, and answers when change is closed, or the wait is over.
func (f *fake) SessionAfter(ctx context.Context, id string, index uint64, wait time.Duration) (staging.Session, uint64, error) {
	f.mu.Lock()
	f.index, f.wait = index, wait
	change := f.change
	f.mu.Unlock()
	if index > 0 && change != nil {
		select {
		case <-change:
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	s, err := read(f, f.sessions, "session", id)
	return s, 41000, err
}

// Events gives pages of events, then nothing until ctx is done.
func (f *fake) Events(_ context.Context, after string) (broker.EventStream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = after
	return &fakeStream{pages: f.pages}, f.fail
}

type fakeStream struct{ pages []fakePage }

type fakePage struct {
	events []staging.Event
	gap    bool
}

func (s *fakeStream) Next(ctx context.Context, _ time.Duration) ([]staging.Event, bool, error) {
	if len(s.pages) == 0 {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	p := s.pages[0]
	s.pages = s.pages[1:]
	return p.events, p.gap, nil
}

func (*fakeStream) Close() {}

func (f *fake) Keepalive(_ context.Context, id string) (staging.Session, error) {
	return read(f, f.sessions, "session", id)
}

// Authorize knows one token.
func (f *fake) Authorize(_ context.Context, a broker.Access) (staging.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.access = a
	switch {
	case f.fail != nil:
		return staging.Session{}, f.fail
	case !slices.Contains(a.Tokens, "right"):
		return staging.Session{}, &refusal.Error{Kind: refusal.Unauthorized, Detail: "send the session's access token"}
	case a.Origin == "https://foreign.example":
		return staging.Session{}, &refusal.Error{Kind: refusal.Forbidden, Detail: "foreign"}
	}
	s := assignedSession()
	s.User.Name = "Zoë\n"
	return s, nil
}

func (f *fake) Groups(context.Context) ([]staging.Group, error) { return list(f, f.groups) }
func (f *fake) Group(_ context.Context, name string) (staging.Group, error) {
	return read(f, f.groups, "group", name)
}

func (f *fake) PutGroup(_ context.Context, g staging.Group) (bool, error) {
	return put(f, f.groups, g.Name, g, g.Validate())
}

func (f *fake) DeleteGroup(_ context.Context, name string) error {
	return remove(f, f.groups, "group", name)
}

func (f *fake) Sessions(_ context.Context, filter staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	all, err := list(f, f.sessions)
	f.mu.Lock()
	f.filter = filter
	f.mu.Unlock()
	all = slices.DeleteFunc(all, func(s staging.Session) bool { return !filter.Lets(s) || staging.PositionOf(s).Compare(after) <= 0 })
	slices.SortFunc(all, func(a, b staging.Session) int { return staging.PositionOf(a).Compare(staging.PositionOf(b)) })
	page := staging.SessionPage{Items: all}
	if len(all) > limit {
		page = staging.SessionPage{Items: all[:limit], More: true, Next: staging.PositionOf(all[limit-1])}
	}
	return page, err
}

func (f *fake) End(_ context.Context, id string) error { return remove(f, f.sessions, "session", id) }

func (f *fake) Zones(context.Context) ([]staging.Zone, error) { return list(f, f.zones) }

func (f *fake) Zone(_ context.Context, name string) (staging.Zone, error) {
	return read(f, f.zones, "zone", name)
}

func (f *fake) PutZone(_ context.Context, z staging.Zone) (bool, error) {
	return put(f, f.zones, z.Name, z, z.Validate())
}

func (f *fake) DeleteZone(_ context.Context, name string) error {
	return remove(f, f.zones, "zone", name)
}

func (f *fake) Images(context.Context) ([]staging.Image, error) { return list(f, f.images) }

func (f *fake) Image(_ context.Context, name string) (staging.Image, error) {
	return read(f, f.images, "image", name)
}

func (f *fake) PutImage(_ context.Context, i staging.Image) (bool, error) {
	return put(f, f.images, i.Name, i, i.Validate())
}

func (f *fake) DeleteImage(_ context.Context, name string) error {
	return remove(f, f.images, "image", name)
}

func (f *fake) Pools(context.Context) ([]broker.Pool, error) { return list(f, f.pools) }

func (f *fake) Pool(_ context.Context, name string) (broker.Pool, error) {
	return read(f, f.pools, "staging config", name)
}

func (f *fake) PutPool(_ context.Context, c staging.Config) (broker.Pool, bool, error) {
	p := broker.Pool{Config: c}
	created, err := put(f, f.pools, c.Name, p, c.Validate(staging.DefaultLimits))
	return p, created, err
}

func (f *fake) DeletePool(_ context.Context, name string) error {
	return remove(f, f.pools, "staging config", name)
}

func (f *fake) Tokens(context.Context) ([]access.Token, error) { return list(f, f.tokens) }

func (f *fake) CreateToken(_ context.Context, r access.TokenRequest) (access.Token, string, error) {
	t, secret := access.NewToken(r, time.Now())
	_, err := put(f, f.tokens, t.Accessor, t, r.Validate())
	return t, secret, err
}

func (f *fake) RevokeToken(_ context.Context, accessor string) error {
	return remove(f, f.tokens, "token", accessor)
}

func (f *fake) Bootstrap(ctx context.Context) (access.Token, string, error) {
	f.mu.Lock()
	done := f.bootstrapped
	f.bootstrapped = true
	f.mu.Unlock()
	if done {
		return access.Token{}, "", &refusal.Error{Kind: refusal.Bootstrapped, Detail: "delete the key"}
	}
	return f.CreateToken(ctx, access.TokenRequest{Name: "bootstrap", Role: access.Admin})
}

func (f *fake) Audit(_ context.Context, a staging.Audit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.audits = append(f.audits, a)
}

func (f *fake) Dependencies(context.Context) []broker.Dependency {
	return []broker.Dependency{
		{Name: "consul", Problem: f.down["consul"]},
		{Name: "nomad", Problem: f.down["nomad"]},
		{Name: "redis", Problem: f.down["redis"]},
	}
}

func (f *fake) Check(_ context.Context, set broker.ResourceSet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = set
	return f.fail
}
