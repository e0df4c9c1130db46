package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/broker/httpapi"
	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// These tests run the command line in this process against the real HTTP edge.
// What is behind the edge is canned: the tests beside this one have the servers.

// cannedBroker answers with what it holds. A call that it does not have is a
// nil interface's, which the edge answers as an internal error.
type cannedBroker struct {
	httpapi.Broker
	mu       sync.Mutex
	puts     []string
	zones    map[string]staging.Zone
	images   map[string]staging.Image
	groups   map[string]staging.Group
	configs  map[string]staging.Config
	sessions []staging.Session
	filter   staging.SessionFilter
	result   launching.Result
	err      error
	// checks is what every set of resources is refused with.
	checks error
	// deletes are what was deleted, in order.
	deletes []string
	// redis is what ails it.
	redis string
	asked launching.Request
	// status is how everything stands.
	status broker.Status
}

func values[T any](m map[string]T) []T {
	var all []T
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func store[T any](b *cannedBroker, m map[string]T, what, name string, v T) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts = append(b.puts, what+" "+name)
	_, had := m[name]
	m[name] = v
	return !had, b.err
}

func (b *cannedBroker) Audit(context.Context, staging.Audit) {}

func (b *cannedBroker) Zones(context.Context) ([]staging.Zone, error) { return values(b.zones), nil }

func (b *cannedBroker) Images(context.Context) ([]staging.Image, error) { return values(b.images), nil }

func (b *cannedBroker) Zone(_ context.Context, name string) (staging.Zone, error) {
	return find(b.zones, "zone", name)
}

func (b *cannedBroker) Image(_ context.Context, name string) (staging.Image, error) {
	return find(b.images, "image", name)
}

func find[T any](m map[string]T, what, name string) (v T, err error) {
	v, ok := m[name]
	if !ok {
		err = &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no %s %s", what, name)}
	}
	return v, err
}

func (b *cannedBroker) Pools(context.Context) ([]broker.Pool, error) {
	var pools []broker.Pool
	for _, c := range b.configs {
		pools = append(pools, cannedPool(c))
	}
	return pools, nil
}

func cannedPool(c staging.Config) broker.Pool {
	return broker.Pool{Config: c, Current: 2, Ready: 1, Conditions: []staging.Condition{
		{Type: staging.CapacityExhausted, Message: "not enough memory", Since: time.Now()},
	}}
}

func (b *cannedBroker) Pool(_ context.Context, name string) (broker.Pool, error) {
	c, ok := b.configs[name]
	if !ok {
		return broker.Pool{}, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no staging config " + name}
	}
	return cannedPool(c), nil
}

func (b *cannedBroker) PutZone(_ context.Context, z staging.Zone) (bool, error) {
	return store(b, b.zones, "zone", z.Name, z)
}

func (b *cannedBroker) PutImage(_ context.Context, i staging.Image) (bool, error) {
	return store(b, b.images, "image", i.Name, i)
}

func (b *cannedBroker) Groups(context.Context) ([]staging.Group, error) { return values(b.groups), nil }

func (b *cannedBroker) PutGroup(_ context.Context, g staging.Group) (bool, error) {
	return store(b, b.groups, "group", g.Name, g)
}

func (b *cannedBroker) PutPool(_ context.Context, c staging.Config) (broker.Pool, bool, error) {
	created, err := store(b, b.configs, "staging", c.Name, c)
	return cannedPool(c), created, err
}

func (b *cannedBroker) Check(context.Context, broker.ResourceSet) error { return b.checks }

func (b *cannedBroker) Status(context.Context) broker.Status { return b.status }

func (b *cannedBroker) Dependencies(context.Context) []broker.Dependency {
	return []broker.Dependency{{Name: "consul"}, {Name: "nomad"}, {Name: "redis", Problem: b.redis}}
}

func remove[T any](b *cannedBroker, m map[string]T, what, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deletes = append(b.deletes, what+" "+name)
	delete(m, name)
	return b.err
}

func (b *cannedBroker) DeleteZone(_ context.Context, name string) error {
	return remove(b, b.zones, "zone", name)
}

func (b *cannedBroker) DeleteImage(_ context.Context, name string) error {
	return remove(b, b.images, "image", name)
}

func (b *cannedBroker) DeleteGroup(_ context.Context, name string) error {
	return remove(b, b.groups, "group", name)
}

func (b *cannedBroker) DeletePool(_ context.Context, name string) error {
	return remove(b, b.configs, "staging", name)
}

func (b *cannedBroker) Sessions(_ context.Context, f staging.SessionFilter, _ staging.Position, _ int) (staging.SessionPage, error) {
	b.filter = f
	return staging.SessionPage{Items: b.sessions}, b.err
}

func (b *cannedBroker) SessionAfter(_ context.Context, id string, _ uint64, _ time.Duration) (staging.Session, uint64, error) {
	for _, s := range b.sessions {
		if s.ID == id {
			return s, 1, b.err
		}
	}
	return staging.Session{}, 0, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no session " + id}
}

func (b *cannedBroker) End(ctx context.Context, id string) error {
	_, _, err := b.SessionAfter(ctx, id, 0, 0)
	return err
}

func (b *cannedBroker) Launch(_ context.Context, r launching.Request) (launching.Result, error) {
	b.asked = r
	return b.result, b.err
}

// cli runs greenroom's commands in this process.
type cli struct {
	t *testing.T
	// broker is what the commands call; nil for one of the test's own.
	broker *cannedBroker
	stdin  string
}

// realCLI runs commands against the broker that GREENROOM_ADDR names.
func realCLI(t *testing.T) *cli { return &cli{t: t} }

func newCLI(t *testing.T, token string) *cli {
	b := &cannedBroker{
		zones: map[string]staging.Zone{}, images: map[string]staging.Image{}, groups: map[string]staging.Group{}, configs: map[string]staging.Config{},
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	var guard access.Guard
	if token != "" {
		guard = access.Guard{On: true, Agent: access.Hash(token)}
	}
	s := httptest.NewServer(httpapi.New(b, httpapi.Options{Log: logrus.NewEntry(log), Guard: guard}))
	t.Cleanup(s.Close)
	t.Setenv("GREENROOM_ADDR", s.URL)
	t.Setenv("GREENROOM_TOKEN", "")
	return &cli{t: t, broker: b}
}

// run gives the exit code and what was printed.
func (c *cli) run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(c.t.Context(), args, strings.NewReader(c.stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// want runs a command that must exit with code, having printed all of these.
func (c *cli) want(code int, args []string, printed ...string) (stdout string) {
	c.t.Helper()
	got, out, errs := c.run(args...)
	if got != code {
		c.t.Errorf("greenroom %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	for _, p := range printed {
		if !strings.Contains(out+errs, p) {
			c.t.Errorf("greenroom %s does not print %q:\n%s%s", strings.Join(args, " "), p, out, errs)
		}
	}
	if code != exitOK && code != exitChanges && code != exitUnwell && errs == "" {
		c.t.Errorf("greenroom %s failed without a word", strings.Join(args, " "))
	}
	return out
}

// userSession is a staged session that alice has.
func userSession() staging.Session {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	return staging.Session{
		ID: "gr-1", State: staging.Assigned, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "demo-east",
		User: &staging.User{ID: "u-1", Name: "alice"}, Address: "127.0.0.1", Ports: map[string]int{"http": 23817, "admin": 1},
		CreatedAt: at, AssignedAt: at,
	}
}

// dirOf writes files into a fresh directory.
func dirOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// decode decodes what a command printed as JSON.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}
