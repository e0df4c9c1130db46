package kasmapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/kasmapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// world is a broker's rooms in memory, behind the real edge: these tests are about the translation.
// The rooms' own tests, and the end-to-end test of this API, run on the real servers.
type world struct {
	httpapi.Launcher // of which Launch alone is used
	mu               sync.Mutex
	zones            map[string]staging.Zone
	images           map[string]staging.Image
	pools            map[string]status.Pool
	sessions         map[string]staging.Session
	// launched are the requests for sessions, ran the commands in sessions, kept the ids of the
	// sessions that were kept alive.
	launched []launch.Request
	ran      []staging.Hook
	kept     []string
	// state is that of the sessions that are launched, refuse what a launch is refused with.
	state  staging.State
	refuse error
	// linkless: there is no gateway.
	linkless bool
	// audits are denied calls, traced what the auditor was told of changes.
	audits []staging.Audit
	traced []string

	handler http.Handler
	log     *bytes.Buffer
	// secrets are those of the tokens, by role; accessors the accessors.
	secrets, accessors map[string]string
}

// newWorld returns a broker with the images demo and restricted, the zones east and west, and a pool
// in east. guarded brokers know a token of each role, and one of a launcher with a scope.
func newWorld(t *testing.T, guarded bool) *world {
	t.Helper()
	w := &world{
		zones:  map[string]staging.Zone{"east": {Name: "east"}, "west": {Name: "west"}},
		images: map[string]staging.Image{"demo": {Name: "demo"}, "restricted": {Name: "restricted", RestrictToZones: []string{"west"}}},
		pools: map[string]status.Pool{"demo-east": {
			Config: staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3}, Current: 3, Ready: 2,
		}},
		sessions: map[string]staging.Session{}, state: staging.Assigned,
		log: &bytes.Buffer{}, secrets: map[string]string{}, accessors: map[string]string{},
	}
	logger := logrus.New()
	logger.SetOutput(w.log)
	logger.SetLevel(logrus.DebugLevel)
	guard := access.Guard{On: guarded}
	if guarded {
		var all []access.Token
		for name, r := range map[string]access.TokenRequest{
			"admin": {Role: access.Admin}, "launcher": {Role: access.Launcher}, "viewer": {Role: access.Viewer},
			"scoped": {Role: access.Launcher, Scope: access.Scope{UserPrefix: "acme-"}},
		} {
			r.Name = name
			token, secret := access.NewToken(r, time.Now())
			all = append(all, token)
			w.secrets[name], w.accessors[name] = secret, token.Accessor
		}
		tokens := access.NewTokens(all, 1, nil)
		guard.Tokens = func() *access.Tokens { return tokens }
	}
	b := httpapi.Broker{
		Launcher: w, Sessions: rooms{world: w}, Auditor: w, Tokens: tokenUses{},
		Zones: table[staging.Zone]{w: w, all: w.zones}, Images: table[staging.Image]{w: w, all: w.images}, Pools: pools{table[status.Pool]{w: w, all: w.pools}},
		Links: links{w},
	}
	w.handler = httpapi.New(b, httpapi.Options{Guard: guard, Log: logrus.NewEntry(logger), Registry: prometheus.NewRegistry(), Translated: kasmapi.New})
	return w
}

type table[T any] struct {
	httpapi.Resources[T]
	w   *world
	all map[string]T
}

func (r table[T]) List(context.Context) (all []T, _ error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		all = append(all, r.all[name])
	}
	return all, nil
}

func (r table[T]) Get(_ context.Context, name string) (T, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	v, ok := r.all[name]
	if !ok {
		return v, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no " + name}
	}
	return v, nil
}

type pools struct{ table[status.Pool] }

func (r pools) Put(_ context.Context, c staging.Config) (p status.Pool, created bool, err error) {
	if err := c.Validate(staging.DefaultLimits); err != nil {
		return p, false, err
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	old, had := r.all[c.Name]
	p = status.Pool{Config: c, Wanted: staging.Wanted{Sessions: c.DesiredSessions}, Current: old.Current, Fill: staging.Full}
	r.all[c.Name] = p
	return p, !had, nil
}

func (r pools) Delete(ctx context.Context, name string) error {
	if _, err := r.Get(ctx, name); err != nil {
		return err
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	delete(r.all, name)
	return nil
}

func (r pools) Recycle(ctx context.Context, name string, _ staging.Duration) (status.Pool, error) {
	return r.Get(ctx, name)
}

func (r pools) Retry(ctx context.Context, name string) (status.Pool, error) { return r.Get(ctx, name) }

// Launch implements httpapi.Launcher.
func (w *world) Launch(_ context.Context, r launch.Request) ([]launch.Result, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.images[r.Image]; !ok {
		return nil, staging.Invalid("launch", "image", "is unknown: there is no image %q", r.Image)
	}
	if w.refuse != nil {
		return nil, w.refuse
	}
	w.launched = append(w.launched, r)
	now := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	s := staging.Session{
		ID: staging.NewSessionID(), State: w.state, Origin: staging.Staged, Staging: "demo-east", Zone: r.Zone, Image: r.Image, User: &r.User, Claim: "claim", CreatedAt: now,
	}
	if w.state == staging.Assigned {
		s.AllocID, s.NodeID, s.Address, s.Ports, s.AssignedAt = "alloc", "node", "10.0.0.7", map[string]int{"http": 23817, "vnc": 23818}, now.Add(time.Second)
		s.Terms.Keepalive, s.Terms.TimeLimit = staging.Duration(time.Hour), staging.Duration(30*time.Minute)
	}
	w.sessions[s.ID] = s
	return []launch.Result{{Session: s, Token: "the-session-token"}}, nil
}

// rooms are the sessions of a world.
type rooms struct {
	httpapi.Sessions
	*world
}

func (r rooms) Session(ctx context.Context, id string) (staging.Session, error) {
	s, err := table[staging.Session]{w: r.world, all: r.sessions}.Get(ctx, id)
	return s, err
}

func (r rooms) SessionAfter(ctx context.Context, id string, _ uint64, _ time.Duration) (staging.Session, uint64, error) {
	s, err := r.Session(ctx, id)
	return s, 1, err
}

func (rooms) FailingCheck(context.Context, staging.Session) staging.FailingCheck {
	return staging.FailingCheck{}
}

func (r rooms) List(_ context.Context, f staging.SessionFilter, _ staging.Position, _ int) (p staging.SessionPage, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(r.sessions)) {
		if s := r.sessions[id]; f.Lets(s) {
			p.Items = append(p.Items, s)
		}
	}
	return p, nil
}

func (r rooms) End(_ context.Context, id string) error {
	r.set(id, staging.Ended)
	return nil
}

func (w *world) set(id string, state staging.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[id]
	s.State, s.Reason = state, "ended by request"
	w.sessions[id] = s
}

func (r rooms) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	r.mu.Lock()
	r.kept = append(r.kept, id)
	r.mu.Unlock()
	return r.Session(ctx, id)
}

func (r rooms) Run(ctx context.Context, id string, command staging.Hook) error {
	r.mu.Lock()
	r.ran = append(r.ran, command)
	r.mu.Unlock()
	_, err := r.Session(ctx, id)
	return err
}

type links struct{ *world }

func (l links) Make(_ context.Context, s staging.Session, _, _ string) (gateway.Link, error) {
	if l.linkless {
		return gateway.Link{}, &refusal.Error{Kind: refusal.NotAssigned, Detail: "no link"}
	}
	return gateway.Link{URL: "https://desk.example.org/s/" + s.ID + "/?code=once"}, nil
}

type tokenUses struct{ httpapi.Tokens }

func (tokenUses) Used(string, time.Time) {}

func (w *world) Audit(_ context.Context, a staging.Audit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.audits = append(w.audits, a)
}
func (*world) Attempt(context.Context, string) error { return nil }
func (*world) Used(context.Context)                  {}
func (*world) Read(context.Context, string, string)  {}
func (w *world) Trace(ctx context.Context, what, name string, _ any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	call := access.CallOf(ctx)
	w.traced = append(w.traced, call.Caller.Who()+" "+call.Operation+" "+what+" "+name)
}

// object is a JSON object.
type object = map[string]any

// send sends a request of a client, and returns the status and the answer.
func (w *world) send(t *testing.T, path, body string, adjust ...func(*http.Request)) (int, object) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, a := range adjust {
		a(r)
	}
	recorded := httptest.NewRecorder()
	w.handler.ServeHTTP(recorded, r)
	var answer object
	if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s %s: %d %q is no JSON object", path, body, recorded.Code, recorded.Body)
	}
	if failed := recorded.Code >= 400; failed != (answer["error_message"] != nil) {
		t.Errorf("%s %s: %d with the error_message %v", path, body, recorded.Code, answer["error_message"])
	}
	return recorded.Code, answer
}

// do sends a verb with a body, and wants it to be served.
func (w *world) do(t *testing.T, verb string, body object) object {
	t.Helper()
	status, answer := w.send(t, "/api/public/"+verb, asJSON(t, body))
	if status != http.StatusOK {
		t.Fatalf("%s %v: %d %v", verb, body, status, answer)
	}
	return answer
}

// refused sends a verb with a body, and wants it to be refused with a status and these words.
func (w *world) refused(t *testing.T, verb string, body object, status int, words ...string) {
	t.Helper()
	got, answer := w.send(t, "/api/public/"+verb, asJSON(t, body))
	if got != status {
		t.Errorf("%s %v: %d %v, want %d", verb, body, got, answer, status)
	}
	for _, want := range words {
		if text, _ := answer["error_message"].(string); !strings.Contains(text, want) {
			t.Errorf("%s %v: %q, want %q in it", verb, body, text, want)
		}
	}
}

func asJSON(t *testing.T, body object) string {
	t.Helper()
	if body == nil {
		body = object{}
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// as returns a body with the credentials of a token.
func (w *world) as(name string, body object) object {
	signed := object{"api_key": w.accessors[name], "api_key_secret": w.secrets[name]}
	maps.Copy(signed, body)
	return signed
}
