// Package clitest runs greenroom's commands inside a test, against the real HTTP edge of
// a broker that answers with what the test put into it, or against a real broker.
package clitest

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
	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Broker is a fake broker that answers with what its fields hold. Methods that it does not
// have panic, which the edge answers as an internal error.
type Broker struct {
	httpapi.Broker
	mu           sync.Mutex
	Puts         []string
	ZoneByName   map[string]staging.Zone
	ImageByName  map[string]staging.Image
	GroupByName  map[string]staging.Group
	ConfigByName map[string]staging.Config
	SessionList  []staging.Session
	Filter       staging.SessionFilter
	Result       launching.Result
	Err          error
	// CheckErr is the refusal of every set of resources.
	CheckErr error
	// Deletes are the resources that were deleted, in order, such as "zone east".
	Deletes []string
	// RedisProblem is why Redis is unavailable; "" while it answers.
	RedisProblem string
	Asked        launching.Request
	// StatusNow is what Status returns.
	StatusNow broker.Status
}

func values[T any](m map[string]T) []T {
	var all []T
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func store[T any](b *Broker, m map[string]T, what, name string, v T) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Puts = append(b.Puts, what+" "+name)
	_, had := m[name]
	m[name] = v
	return !had, b.Err
}

func (b *Broker) Audit(context.Context, staging.Audit) {}

func (b *Broker) Zones(context.Context) ([]staging.Zone, error) { return values(b.ZoneByName), nil }

func (b *Broker) Images(context.Context) ([]staging.Image, error) { return values(b.ImageByName), nil }

func (b *Broker) Zone(_ context.Context, name string) (staging.Zone, error) {
	return find(b.ZoneByName, "zone", name)
}

func (b *Broker) Image(_ context.Context, name string) (staging.Image, error) {
	return find(b.ImageByName, "image", name)
}

func find[T any](m map[string]T, what, name string) (v T, err error) {
	v, ok := m[name]
	if !ok {
		err = &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no %s %s", what, name)}
	}
	return v, err
}

func (b *Broker) Pools(context.Context) ([]broker.Pool, error) {
	var pools []broker.Pool
	for _, c := range b.ConfigByName {
		pools = append(pools, cannedPool(c))
	}
	return pools, nil
}

func cannedPool(c staging.Config) broker.Pool {
	return broker.Pool{Config: c, Current: 2, Ready: 1, Conditions: []staging.Condition{
		{Type: staging.CapacityExhausted, Message: "not enough memory", Since: time.Now()},
	}}
}

func (b *Broker) Pool(_ context.Context, name string) (broker.Pool, error) {
	c, ok := b.ConfigByName[name]
	if !ok {
		return broker.Pool{}, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no staging config " + name}
	}
	return cannedPool(c), nil
}

func (b *Broker) PutZone(_ context.Context, z staging.Zone) (bool, error) {
	return store(b, b.ZoneByName, "zone", z.Name, z)
}

func (b *Broker) PutImage(_ context.Context, i staging.Image) (bool, error) {
	return store(b, b.ImageByName, "image", i.Name, i)
}

func (b *Broker) Groups(context.Context) ([]staging.Group, error) { return values(b.GroupByName), nil }

func (b *Broker) PutGroup(_ context.Context, g staging.Group) (bool, error) {
	return store(b, b.GroupByName, "group", g.Name, g)
}

func (b *Broker) PutPool(_ context.Context, c staging.Config) (broker.Pool, bool, error) {
	created, err := store(b, b.ConfigByName, "staging", c.Name, c)
	return cannedPool(c), created, err
}

func (b *Broker) Check(context.Context, broker.ResourceSet) error { return b.CheckErr }

func (b *Broker) Status(context.Context) broker.Status { return b.StatusNow }

func (b *Broker) Dependencies(context.Context) []broker.Dependency {
	return []broker.Dependency{{Name: "consul"}, {Name: "nomad"}, {Name: "redis", Problem: b.RedisProblem}}
}

func remove[T any](b *Broker, m map[string]T, what, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Deletes = append(b.Deletes, what+" "+name)
	delete(m, name)
	return b.Err
}

func (b *Broker) DeleteZone(_ context.Context, name string) error {
	return remove(b, b.ZoneByName, "zone", name)
}

func (b *Broker) DeleteImage(_ context.Context, name string) error {
	return remove(b, b.ImageByName, "image", name)
}

func (b *Broker) DeleteGroup(_ context.Context, name string) error {
	return remove(b, b.GroupByName, "group", name)
}

func (b *Broker) DeletePool(_ context.Context, name string) error {
	return remove(b, b.ConfigByName, "staging", name)
}

func (b *Broker) Sessions(_ context.Context, f staging.SessionFilter, _ staging.Position, _ int) (staging.SessionPage, error) {
	b.Filter = f
	return staging.SessionPage{Items: b.SessionList}, b.Err
}

func (b *Broker) SessionAfter(_ context.Context, id string, _ uint64, _ time.Duration) (staging.Session, uint64, error) {
	for _, s := range b.SessionList {
		if s.ID == id {
			return s, 1, b.Err
		}
	}
	return staging.Session{}, 0, &refusal.Error{Kind: refusal.NotFound, Detail: "there is no session " + id}
}

func (b *Broker) End(ctx context.Context, id string) error {
	_, _, err := b.SessionAfter(ctx, id, 0, 0)
	return err
}

func (b *Broker) Launch(_ context.Context, r launching.Request) (launching.Result, error) {
	b.Asked = r
	return b.Result, b.Err
}

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
func New(t *testing.T, token string) *CLI {
	b := &Broker{
		ZoneByName: map[string]staging.Zone{}, ImageByName: map[string]staging.Image{}, GroupByName: map[string]staging.Group{}, ConfigByName: map[string]staging.Config{},
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
