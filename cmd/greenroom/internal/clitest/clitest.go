// Package clitest runs greenroom's commands inside a test, against the real HTTP edge of
// a broker that answers with what the test put into it, or against a real broker.
package clitest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/httpapi"
	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Broker is a fake broker that answers with what its fields hold. Methods that it does not
// have panic, which the edge answers as an internal error.
type Broker struct {
	httpapi.Sessions
	mu           sync.Mutex
	Puts         []string
	ZoneByName   map[string]staging.Zone
	ImageByName  map[string]staging.Image
	GroupByName  map[string]staging.Group
	ConfigByName map[string]staging.Config
	// WebhookByName have receivers that answer 503, and one dead letter each.
	WebhookByName map[string]staging.Webhook
	// Replayed are the dead letters that were replayed.
	Replayed    []string
	SessionList []staging.Session
	// Failing is the check for which every session fails.
	Failing staging.FailingCheck
	// During is called while a launch is under way; nil for nothing. Calls, if not nil, has
	// the name of each List and FailingCheck.
	During func()
	Calls  chan string
	Filter staging.SessionFilter
	Result launching.Result
	Err    error
	// CheckErr is the refusal of every set of resources.
	CheckErr error
	// ImageWarnings are the warnings about every set of images.
	ImageWarnings []string
	// Deletes are the resources that were deleted, in order, such as "zone east".
	Deletes []string
	// RedisProblem is why Redis is unavailable; "" while it answers.
	RedisProblem string
	Asked        launching.Request
	// Locked are the locked users, by id.
	Locked map[string]access.UserLock
	// Paused are the pauses, Ordered what was ordered for pools.
	Paused  map[staging.PauseTarget]staging.Pause
	Ordered []string
	// LastFailure and Kept are those of every pool.
	LastFailure *staging.PoolFailure
	Kept        []string
	// Minutes are the history of any pool.
	Minutes []staging.Minute
	// StatusNow is what Status returns.
	StatusNow status.Status
	// Tokens are the stored tokens.
	Tokens []admin.TokenInfo
	// Happened are the events that are kept, and followed the positions after which commands
	// asked for events.
	Happened []staging.Event
	followed []string
	// Updated is how many of each pool's sessions are of its current revision; nil if that is
	// not known.
	Updated *status.Updated
	// OldRevisions are those that sessions are no longer made from.
	OldRevisions map[string]bool
	// Ended are the ids of the sessions that were ended, in order.
	Ended []string
	// links makes links to sessions; nil for a broker that knows no gateway.
	links httpapi.Links
}

// edge is the broker as the HTTP edge needs it.
func (b *Broker) edge() httpapi.Broker {
	return httpapi.Broker{
		Launcher: b, Sessions: b, Events: b, Checker: b, Secrets: b, Auditor: b, Links: b.links, Monitor: cannedMonitor{b: b}, Tokens: cannedTokens{b: b}, UserLocks: cannedUserLocks{b}, Pauses: cannedPauses{b},
		Zones:    cannedTable[staging.Zone]{b, b.ZoneByName, "zone", func(z staging.Zone) string { return z.Name }},
		Images:   cannedTable[staging.Image]{b, b.ImageByName, "image", func(i staging.Image) string { return i.Name }},
		Groups:   cannedTable[staging.Group]{b, b.GroupByName, "group", func(g staging.Group) string { return g.Name }},
		Webhooks: cannedWebhooks{cannedTable[staging.Webhook]{b, b.WebhookByName, "webhook", func(w staging.Webhook) string { return w.Name }}},
		Pools:    cannedPools{cannedTable[staging.Config]{b, b.ConfigByName, "staging", func(c staging.Config) string { return c.Name }}},
	}
}

// cannedTable is the resources of one kind.
type cannedTable[T any] struct {
	b    *Broker
	all  map[string]T
	what string
	name func(T) string
}

func (r cannedTable[T]) List(context.Context) ([]T, error) {
	var all []T
	for _, v := range r.all {
		all = append(all, v)
	}
	return all, nil
}

func (r cannedTable[T]) Get(_ context.Context, name string) (v T, err error) {
	v, ok := r.all[name]
	if !ok {
		err = &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no %s %s", r.what, name)}
	}
	return v, err
}

func (r cannedTable[T]) Put(_ context.Context, v T) (T, bool, error) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	name := r.name(v)
	r.b.Puts = append(r.b.Puts, r.what+" "+name)
	_, had := r.all[name]
	r.all[name] = v
	return v, !had, r.b.Err
}

func (r cannedTable[T]) Delete(_ context.Context, name string) error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if _, err := r.Get(context.Background(), name); err != nil {
		return err
	}
	r.b.Deletes = append(r.b.Deletes, r.what+" "+name)
	delete(r.all, name)
	return r.b.Err
}

type cannedPools struct{ configs cannedTable[staging.Config] }

func (p cannedPools) List(ctx context.Context) ([]status.Pool, error) {
	configs, err := p.configs.List(ctx)
	var pools []status.Pool
	for _, c := range configs {
		pools = append(pools, p.configs.b.cannedPool(c))
	}
	return pools, err
}

func (p cannedPools) Get(ctx context.Context, name string) (status.Pool, error) {
	c, err := p.configs.Get(ctx, name)
	return p.configs.b.cannedPool(c), err
}

func (p cannedPools) Put(ctx context.Context, c staging.Config) (status.Pool, bool, error) {
	c, created, err := p.configs.Put(ctx, c)
	return p.configs.b.cannedPool(c), created, err
}

func (p cannedPools) Delete(ctx context.Context, name string) error {
	return p.configs.Delete(ctx, name)
}

// Recycle implements httpapi.Pools.
func (p cannedPools) Recycle(ctx context.Context, name string, olderThan staging.Duration) (status.Pool, error) {
	pool, err := p.Get(ctx, name)
	pool.Recycle = &staging.Recycle{Before: time.Now().Add(-olderThan.Std()), OrderedBy: "token:tk-1", OrderedAt: time.Now()}
	p.configs.b.Ordered = append(p.configs.b.Ordered, "recycle "+name+" "+olderThan.String())
	return pool, cmp.Or(err, p.configs.b.Err)
}

// Retry implements httpapi.Pools.
func (p cannedPools) Retry(ctx context.Context, name string) (status.Pool, error) {
	p.configs.b.Ordered = append(p.configs.b.Ordered, "retry "+name)
	pool, err := p.Get(ctx, name)
	return pool, cmp.Or(err, p.configs.b.Err)
}

// cannedPauses pauses what exists.
type cannedPauses struct{ b *Broker }

func (p cannedPauses) List(context.Context) ([]staging.Pause, error) {
	var all []staging.Pause
	for _, pause := range p.b.Paused {
		all = append(all, pause)
	}
	return all, p.b.Err
}

func (p cannedPauses) Pause(_ context.Context, t staging.PauseTarget, reason string) (staging.Pause, bool, error) {
	if _, ok := p.b.ConfigByName[t.Staging]; t.Staging != "" && !ok {
		return staging.Pause{}, false, staging.Invalid("pause", "staging", "is unknown: there is no staging config %q", t.Staging)
	}
	_, had := p.b.Paused[t]
	pause := staging.Pause{PauseTarget: t, Reason: reason, PausedBy: "token:tk-1", PausedAt: time.Now()}
	if p.b.Paused == nil {
		p.b.Paused = map[staging.PauseTarget]staging.Pause{}
	}
	p.b.Paused[t] = pause
	return pause, !had, p.b.Err
}

func (p cannedPauses) Resume(_ context.Context, t staging.PauseTarget) error {
	if _, had := p.b.Paused[t]; !had {
		return &refusal.Error{Kind: refusal.NotFound, Detail: t.String() + " is not paused"}
	}
	delete(p.b.Paused, t)
	return p.b.Err
}

func (b *Broker) cannedPool(c staging.Config) status.Pool {
	var paused *staging.Pause
	if pause, is := (staging.Resources{Pauses: b.Paused}).PauseOf(c); is {
		paused = &pause
	}
	return status.Pool{Config: c, Pause: paused, Wanted: staging.Wanted{Sessions: c.DesiredSessions}, Fill: staging.Short, Current: 2, Ready: 1, Revision: "6f1d0a9c2b7e", Updated: b.Updated, LastFailure: b.LastFailure, Kept: b.Kept, Conditions: []staging.Condition{
		{Type: staging.CapacityExhausted, Message: "not enough memory", Since: time.Now()},
	}}
}

// Rotate implements httpapi.Secrets.
func (b *Broker) Rotate(_ context.Context, overlap staging.Duration) (staging.Rotation, error) {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	return staging.Rotation{Names: []string{"access", "login"}, SignsFrom: at, AcceptedUntil: at.Add(overlap.Std())}, b.Err
}

// cannedUserLocks locks users of whom each has the session gr-1.
type cannedUserLocks struct{ b *Broker }

func (u cannedUserLocks) List(context.Context) ([]access.UserLock, error) {
	var all []access.UserLock
	for _, l := range u.b.Locked {
		all = append(all, l)
	}
	return all, u.b.Err
}

func (u cannedUserLocks) Lock(_ context.Context, r access.UserLockRequest) (admin.LockedUser, error) {
	u.b.mu.Lock()
	defer u.b.mu.Unlock()
	before, had := u.b.Locked[r.UserID]
	if had {
		return admin.LockedUser{UserLock: before, Ending: true}, u.b.Err
	}
	l := access.UserLock{UserID: r.UserID, Reason: r.Reason, LockedBy: "token:tk-1", LockedAt: time.Now()}
	u.b.Locked[r.UserID] = l
	return admin.LockedUser{UserLock: l, Made: true, Ended: []string{"gr-1"}}, u.b.Err
}

func (u cannedUserLocks) Unlock(_ context.Context, userID string) error {
	u.b.mu.Lock()
	defer u.b.mu.Unlock()
	if _, had := u.b.Locked[userID]; !had {
		return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("user %q is not locked; GET /v1/locked-users lists those that are", userID)}
	}
	delete(u.b.Locked, userID)
	return u.b.Err
}

func (b *Broker) Audit(context.Context, staging.Audit) {}

// Attempt implements httpapi.Auditor.
func (b *Broker) Attempt(context.Context, string) error { return nil }

// Used implements httpapi.Auditor.
func (b *Broker) Used(context.Context) {}

// Trace implements httpapi.Auditor.
func (b *Broker) Trace(context.Context, string, string, any) {}

// Read implements httpapi.Auditor.
func (b *Broker) Read(context.Context, string, string) {}

func (b *Broker) Check(context.Context, admin.Set) error { return b.CheckErr }

// Warnings implements httpapi.Checker.
func (b *Broker) Warnings(_ context.Context, images []staging.Image) []string {
	all := slices.Clone(b.ImageWarnings)
	for _, i := range images {
		all = append(all, i.Remarks()...)
	}
	return all
}

// cannedTokens keeps the tokens in memory.
type cannedTokens struct {
	httpapi.Tokens
	b *Broker
}

func (t cannedTokens) List(context.Context) ([]admin.TokenInfo, error) { return t.b.Tokens, t.b.Err }

func (t cannedTokens) Create(_ context.Context, r access.TokenRequest) (access.Token, string, error) {
	made, secret := access.NewToken(r, time.Now())
	t.b.Tokens = append(t.b.Tokens, admin.TokenInfo{Token: made})
	return made, secret, t.b.Err
}

func (t cannedTokens) Rotate(_ context.Context, accessor string, r access.Rotation) (access.Token, string, error) {
	for i, old := range t.b.Tokens {
		if old.Accessor == accessor {
			rotated, secret, err := old.Rotate(r, time.Now())
			t.b.Tokens[i].Token = rotated
			return rotated, secret, err
		}
	}
	return access.Token{}, "", admin.NoToken(accessor, nil)
}

func (t cannedTokens) Revoke(_ context.Context, accessor string) error {
	left := slices.DeleteFunc(slices.Clone(t.b.Tokens), func(x admin.TokenInfo) bool { return x.Accessor == accessor })
	if len(left) == len(t.b.Tokens) {
		return admin.NoToken(accessor, nil)
	}
	t.b.Tokens = left
	return t.b.Err
}

type cannedMonitor struct {
	httpapi.Monitor
	b *Broker
}

func (m cannedMonitor) Status(ctx context.Context) status.Status {
	s := m.b.StatusNow
	s.Dependencies = m.Dependencies(ctx)
	return s.Judged()
}

func (m cannedMonitor) Forecast(context.Context, string) ([]staging.Forecast, error) { return nil, nil }

func (m cannedMonitor) History(_ context.Context, _ string, since time.Time) ([]staging.Minute, time.Time, error) {
	return staging.HistorySince(m.b.Minutes, since), time.Now(), m.b.Err
}

func (m cannedMonitor) Dependencies(context.Context) []status.Dependency {
	return []status.Dependency{{Name: "consul"}, {Name: "nomad"}, {Name: "redis", Problem: m.b.RedisProblem}}
}

func (b *Broker) List(_ context.Context, f staging.SessionFilter, _ staging.Position, _ int) (staging.SessionPage, error) {
	b.Filter = f
	b.called("List")
	f.Outdated = func(s staging.Session) bool { return b.OldRevisions[s.Revision] }
	items := slices.DeleteFunc(slices.Clone(b.SessionList), func(s staging.Session) bool { return !f.Lets(s) })
	return staging.SessionPage{Items: items}, b.Err
}

func (b *Broker) SessionAfter(_ context.Context, id string, _ uint64, _ time.Duration) (staging.Session, uint64, error) {
	for _, s := range b.SessionList {
		if s.ID == id {
			return s, 1, b.Err
		}
	}
	return staging.Session{}, 0, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no session " + id}
}

// Session returns a session by its id.
func (b *Broker) Session(ctx context.Context, id string) (staging.Session, error) {
	found, _, err := b.SessionAfter(ctx, id, 0, 0)
	return found, err
}

// FailingCheck is of every session alike.
func (b *Broker) FailingCheck(context.Context, staging.Session) staging.FailingCheck {
	b.called("FailingCheck")
	return b.Failing
}

func (b *Broker) called(name string) {
	if b.Calls != nil {
		b.Calls <- name
	}
}

// Extend extends a session within its terms.
func (b *Broker) Extend(ctx context.Context, id string, r staging.ExtendBy) (staging.Session, error) {
	s, err := b.Session(ctx, id)
	if err != nil {
		return s, err
	}
	fate, outcome := staging.Fate{Terms: s.Terms}.Extend(s.EndsAt(), r)
	if outcome == staging.BeyondMaxExtension {
		return s, &refusal.Error{Kind: refusal.ExtensionLimit, Detail: "its max_extension leaves " + (s.Terms.MaxExtension - s.Terms.Extended).Brief()}
	}
	s.Terms = fate.Terms
	return s, r.Validate()
}

func (b *Broker) End(ctx context.Context, id string) error {
	_, _, err := b.SessionAfter(ctx, id, 0, 0)
	if err == nil {
		b.Ended = append(b.Ended, id)
	}
	return err
}

func (b *Broker) Launch(_ context.Context, r launching.Request) ([]launching.Result, error) {
	b.Asked = r
	if b.During != nil {
		b.During()
	}
	return []launching.Result{b.Result}, b.Err
}

// Launchable implements httpapi.Launcher: nothing may be launched.
func (b *Broker) Launchable(context.Context, launching.For) ([]launching.Launchable, error) {
	return nil, b.Err
}

// Follow implements httpapi.Events: the kept events after a position, and then silence.
func (b *Broker) Follow(_ context.Context, after string) (events.Stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.followed = append(b.followed, after)
	s := &cannedStream{}
	for _, e := range b.Happened {
		if after != "" && staging.CompareEventIDs(e.ID, after) > 0 {
			s.left = append(s.left, e)
		}
	}
	return s, b.Err
}

// FollowedLast returns the position after which a command last asked for events.
func (b *Broker) FollowedLast() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.followed) == 0 {
		return ""
	}
	return b.followed[len(b.followed)-1]
}

// cannedStream returns what is left, and then waits.
type cannedStream struct{ left []staging.Event }

func (s *cannedStream) Next(ctx context.Context, patience time.Duration) (found []staging.Event, gap bool, err error) {
	if found, s.left = s.left, nil; len(found) > 0 {
		return found, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	<-ctx.Done()
	return nil, false, ctx.Err()
}

func (*cannedStream) Close() {}

// CLI runs greenroom's commands in this process.
type CLI struct {
	t *testing.T
	// Broker is the broker that the commands call; nil after Real.
	Broker *Broker
	Stdin  string
}

// Real returns a command line that calls the broker that GREENROOM_ADDR names.
func Real(t *testing.T) *CLI { return &CLI{t: t} }

// New starts a fake broker behind the real HTTP edge, and returns a command line that calls
// it. With a token, the broker requires that token.
func New(t *testing.T, token string) *CLI { return newCLI(t, token, nil) }

// WithGateway is New with a broker that knows a gateway and requires no token.
func WithGateway(t *testing.T) *CLI { return newCLI(t, "", cannedLinks{}) }

// cannedLinks makes links that say what they were made for.
type cannedLinks struct{}

// Make implements httpapi.Links.
func (cannedLinks) Make(_ context.Context, s staging.Session, port, path string) (gateway.Link, error) {
	return gateway.Link{URL: "https://desk.example.org/s/" + s.ID + "?port=" + port + "&to=" + path, ExpiresAt: time.Date(2026, 11, 24, 6, 21, 0, 0, time.UTC)}, nil
}

func newCLI(t *testing.T, token string, links httpapi.Links) *CLI {
	b := &Broker{
		links:      links,
		ZoneByName: map[string]staging.Zone{}, ImageByName: map[string]staging.Image{}, GroupByName: map[string]staging.Group{}, ConfigByName: map[string]staging.Config{},
		WebhookByName: map[string]staging.Webhook{},
		Locked:        map[string]access.UserLock{},
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	var guard access.Guard
	if token != "" {
		guard = access.Guard{On: true, Agent: access.Hash(token)}
	}
	s := httptest.NewServer(httpapi.New(b.edge(), httpapi.Options{Log: logrus.NewEntry(log), Guard: guard}))
	t.Cleanup(s.Close)
	t.Setenv("GREENROOM_ADDR", s.URL)
	t.Setenv("GREENROOM_TOKEN", "")
	return &CLI{t: t, Broker: b}
}

// Run runs a command, and returns its exit code and what it printed.
func (c *CLI) Run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(c.t.Context(), args, strings.NewReader(c.Stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// Want runs a command that must exit with code and print each of the texts, on standard
// output or error. It returns the standard output.
func (c *CLI) Want(code int, args []string, printed ...string) (stdout string) {
	c.t.Helper()
	got, out, errs := c.Run(args...)
	if got != code {
		c.t.Errorf("greenroom %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	for _, p := range printed {
		if !strings.Contains(out+errs, p) {
			c.t.Errorf("greenroom %s does not print %q:\n%s%s", strings.Join(args, " "), p, out, errs)
		}
	}
	if code != exit.OK && code != exit.Changes && code != exit.Unwell && errs == "" {
		c.t.Errorf("greenroom %s failed without an error text", strings.Join(args, " "))
	}
	return out
}

// UserSession is a staged session that alice has.
func UserSession() staging.Session {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	return staging.Session{
		ID: "gr-1", State: staging.Assigned, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "demo-east",
		User: &staging.User{ID: "u-1", Name: "alice"}, Address: "127.0.0.1", Ports: map[string]int{"http": 23817, "admin": 1},
		CreatedAt: at, AssignedAt: at,
	}
}

// Dir writes files, as contents by name, into a new directory and returns it.
func Dir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Decode decodes JSON that a command printed.
func Decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}
