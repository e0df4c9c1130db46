package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// testJobReads: only a job that does not exist is gone. What the token may not read, or a
// token that has expired or was deleted, is no answer.
func testJobReads(t *testing.T, g *guarded) {
	rules := `namespace "default" { capabilities = ["list-jobs", "read-job"] }`
	token := g.nomadTokenFor(t, "reads-default-only", rules)
	f := g.fleet(t, token)
	there := staging.Session{ID: staging.NewSessionID(), Namespace: "elsewhere"}
	nowhere := staging.Session{ID: staging.NewSessionID()}
	if exists, err := f.Exists(patient(t), nowhere); err != nil || exists {
		t.Errorf("a job that does not exist: %t, %v", exists, err)
	}
	for what, s := range map[string]staging.Session{
		"a namespace that the token may not read": there,
		"a namespace that does not exist":         {ID: nowhere.ID, Namespace: "no-such-namespace"},
	} {
		_, err := f.Exists(patient(t), s)
		t.Logf("%s: %v", what, err)
		if !errors.Is(err, staging.ErrJobDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := f.Exists(patient(t), staging.Session{ID: nowhere.ID, Region: "far"})
	t.Logf("a region that does not exist: %v", err)
	if err == nil || errors.Is(err, staging.ErrJobDenied) {
		t.Errorf("a region that does not exist: %v", err)
	}
	exists, err := g.fleet(t, nomadManagement).Exists(patient(t), staging.Session{ID: nowhere.ID, Namespace: "no-such-namespace"})
	t.Logf("a management token, a namespace that does not exist: %t, %v", exists, err)

	short, _, err := g.nomad.ACLTokens().Create(&nomadapi.ACLToken{Name: "short", Type: "client", Policies: []string{"reads-default-only"}, ExpirationTTL: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f = g.fleet(t, short.SecretID)
	if _, err := f.Exists(patient(t), nowhere); err != nil {
		t.Errorf("a token before its end: %v", err)
	}
	if _, err := g.nomad.ACLTokens().Delete(short.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.Exists(patient(t), nowhere)
	t.Logf("a token that was deleted: %v", err)
	if !errors.Is(err, staging.ErrJobDenied) {
		t.Errorf("a token that was deleted: %v", err)
	}
	_, err = f.List(patient(t))
	t.Logf("a list with it: %v", err)
	if err == nil {
		t.Error("a list with a token that was deleted is no error")
	}
	err = g.fleet(t, g.nomadTokenFor(t, "reads-default", rules+"\nnode { policy = \"read\" }")).Watch(patient(t), func(staging.Observation) {}, listsOnce)
	t.Logf("the event stream of a token for one of two namespaces: %v", err)
	if err == nil {
		t.Error("the event stream of a narrowed token goes on")
	}
}

// testNarrowedNomad takes a namespace from a scaler's policy while users have sessions in
// it, and starts a second scaler, which knows nothing but what the servers say. Then
// a job is really gone, and the namespace is given back.
func testNarrowedNomad(t *testing.T, g *guarded) {
	const name, users = "narrowed", 7
	whole := `namespace "*" { capabilities = ["submit-job", "list-jobs", "read-job", "parse-job"] }
node { policy = "read" }`
	narrow := strings.Replace(whole, `"*"`, `"default"`, 1)
	token := g.nomadTokenFor(t, name, whole)
	emptyRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: shared.Cluster(t).RedisAddr})
	t.Cleanup(func() { rdb.Close() })
	store, consul := redisstore.New(rdb, redisstore.Options{}), registry.New(g.consul, "")

	west := elsewhere
	west.AllowOriginDomain, west.UpstreamAuthAddress = "127.0.0.1", "127.0.0.1"
	config := staging.Config{Name: name, Zone: west.Name, Image: "app", DesiredSessions: users + 1}
	_, err := consul.PutZone(t.Context(), west)
	agenttest.Must(t, err)
	_, err = consul.PutImage(t.Context(), image(mockSession))
	agenttest.Must(t, err)
	_, err = consul.PutConfig(t.Context(), config)
	agenttest.Must(t, err)
	binary := agenttest.Program(t, "greenroom")
	one := g.startScaler(t, binary, token)
	full := func(ctx context.Context) error {
		_, ready, err := store.Counts(ctx, name)
		if err != nil || ready[name] != users+1 {
			return fmt.Errorf("%d ready, %v", ready[name], err)
		}
		return nil
	}
	eventually(t, full)
	var sessions []staging.Session
	for n := range users {
		sessions = append(sessions, g.give(t, store, consul, config, fmt.Sprint("user-", n)))
	}
	eventually(t, full)
	state := func(s staging.Session) staging.State {
		x, err := store.Session(patient(t), s.ID)
		agenttest.Must(t, err)
		return x.State
	}
	unharmed := func(when string) {
		t.Helper()
		for _, s := range sessions {
			alloc, _, err := g.nomad.Allocations().Info(s.AllocID, &nomadapi.QueryOptions{Namespace: west.Namespace})
			agenttest.Must(t, err)
			if got := state(s); got != staging.Assigned || alloc.DesiredStatus != "run" || alloc.ClientStatus != "running" {
				t.Errorf("%s: session %s is %s; Nomad wants it to %s, and it is %s", when, s.ID, got, alloc.DesiredStatus, alloc.ClientStatus)
			}
		}
	}
	// Every event, so that an end that a later scaler would undo is noticed, too.
	ended := func() (found []string) {
		events, err := rdb.XRange(patient(t), "greenroom:events", "-", "+").Result()
		agenttest.Must(t, err)
		for _, e := range events {
			for _, s := range sessions {
				if kind := e.Values["type"]; e.Values["session"] == s.ID && (kind == "ending" || kind == "ended") {
					found = append(found, fmt.Sprint(s.ID, " ", kind, " ", e.Values["reason"]))
				}
			}
		}
		return found
	}
	hidden := func(scaler string, want int) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			line := metricLine(ctx, scaler, `greenroom_scaler_denied_sessions{zone="`+west.Name+`"}`)
			// A scaler that ran before may also know the jobs that the other tests registered.
			if n, err := strconv.Atoi(line); err != nil || n < want || want == 0 && n != 0 {
				return fmt.Errorf("%q sessions are hidden from the scaler at %s, want %d; ended: %v", line, scaler, want, ended())
			}
			return nil
		})
	}

	g.narrow(t, name, narrow)
	hidden(one.addr, 2*users+1)
	unharmed("narrowed")
	one.stop()
	two := g.startScaler(t, binary, token)
	hidden(two.addr, 2*users+1)
	eventually(t, func(ctx context.Context) error {
		found, err := store.Conditions(ctx, name)
		for _, c := range found[name] {
			if c.Type == staging.NomadDenied && strings.Contains(c.Message, `namespace "elsewhere"`) {
				return nil
			}
		}
		return fmt.Errorf("conditions %v, %v", found, err)
	})
	unharmed("taken over")

	// This one is gone, which Nomad says once it may be asked again.
	gone := sessions[0]
	sessions = sessions[1:]
	_, _, err = g.nomad.Jobs().Deregister(gone.ID, true, &nomadapi.WriteOptions{Namespace: west.Namespace})
	agenttest.Must(t, err)
	g.narrow(t, name, whole)
	eventually(t, func(context.Context) error {
		if got := state(gone); got != staging.Ended {
			return fmt.Errorf("a session whose job was purged is %s", got)
		}
		return nil
	})
	hidden(two.addr, 0)
	unharmed("given back")
	if found := ended(); len(found) > 0 {
		t.Errorf("ended: %v", found)
	}
	two.stop()
}

// narrow replaces a policy's rules.
func (g *guarded) narrow(t *testing.T, name, rules string) {
	t.Helper()
	_, err := g.nomad.ACLPolicies().Upsert(&nomadapi.ACLPolicy{Name: name, Rules: rules}, nil)
	agenttest.Must(t, err)
}

// give assigns a ready session of a pool to a user, as a broker does.
func (g *guarded) give(t *testing.T, store *redisstore.Store, consul *registry.Registry, config staging.Config, user string) (s staging.Session) {
	t.Helper()
	u := &staging.User{ID: user}
	eventually(t, func(ctx context.Context) error {
		claim := staging.NewClaimID()
		taken, err := store.Claim(ctx, []staging.Config{config}, 1, staging.Claim{
			ID: claim, Image: config.Image, Zone: config.Zone, Permits: config.Permissions.Permits(), User: *u,
		})
		if err != nil || taken.Outcome != staging.ClaimTaken {
			return fmt.Errorf("claim: %s, %v", taken.Outcome, err)
		}
		s = taken.Sessions[0]
		_, _, err = consul.CreateFate(ctx, staging.Fate{Session: s.ID, Verdict: staging.VerdictAssigned, Claim: claim, Zone: config.Zone, User: u})
		if err != nil {
			return err
		}
		s, err = store.Assign(ctx, s)
		return err
	})
	return s
}

// runningAgent is a scaler's or a broker's process.
type runningAgent struct {
	addr string
	// stop ends it and waits for its end.
	stop func()
}

// startScaler starts a scaler with a Nomad token; everything else is allowed to it.
func (g *guarded) startScaler(t *testing.T, binary, nomadToken string) runningAgent {
	t.Helper()
	return g.startAgent(t, binary, nomadToken, "scaler")
}

// startAgent starts a scaler or a broker with a Nomad token; everything else is allowed to it.
func (g *guarded) startAgent(t *testing.T, binary, nomadToken, component string, flags ...string) runningAgent {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", devtest.FreePorts(t, 1)[0])
	log, err := os.CreateTemp(t.TempDir(), component+"-*.log")
	agenttest.Must(t, err)
	cmd := exec.Command(binary, append([]string{component, "--bind", addr}, flags...)...)
	cmd.Env = append(g.environment(), "NOMAD_TOKEN="+nomadToken, "GREENROOM_REDIS_ADDR="+shared.Cluster(t).RedisAddr)
	cmd.Stdout, cmd.Stderr = log, log
	agenttest.Must(t, cmd.Start())
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		log.Close()
		if b, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the end of a %s's log:\n%s", component, b[max(0, len(b)-6000):])
		}
	}
	t.Cleanup(stop)
	eventually(t, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return runningAgent{addr, stop}
}

// metricLine returns a metric's value as text; "" if there is no such series.
func metricLine(ctx context.Context, addr, series string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", http.NoBody)
	if err != nil {
		return err.Error()
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
