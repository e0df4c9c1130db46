package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// testDeniedHooks: a broker whose token may not run hooks in sessions destroys none of them. Its
// launches are made on demand meanwhile, they and the status name the right, and with it the pool's
// sessions are given. A right that is taken away later costs one session.
func testDeniedHooks(t *testing.T, g *guarded) {
	const name, pool, right = "denied-hooks", 3, "alloc-node-exec"
	without := read(t, "acl/nomad-broker.policy.hcl")
	whole := strings.Replace(without, `# "`+right+`",`, `"`+right+`",`, 1)
	token := g.nomadTokenFor(t, name, without)
	emptyRedis(t)
	rdb := redis.NewClient(&redis.Options{Addr: shared.Cluster(t).RedisAddr})
	t.Cleanup(func() { rdb.Close() })
	store, consul := redisstore.New(rdb, redisstore.Options{}), registry.New(g.consul, "")

	east := zone
	east.AllowOriginDomain, east.UpstreamAuthAddress = "127.0.0.1", "127.0.0.1"
	hooked := image(rawSession)
	hooked.Name, hooked.ExecConfig.Assign = name, &staging.Hook{Cmd: []string{"/bin/true"}}
	_, err := consul.PutZone(t.Context(), east)
	agenttest.Must(t, err)
	_, err = consul.PutImage(t.Context(), hooked)
	agenttest.Must(t, err)
	_, err = consul.PutConfig(t.Context(), staging.Config{Name: name, Zone: east.Name, Image: name, DesiredSessions: pool})
	agenttest.Must(t, err)
	binary := agenttest.Program(t, "greenroom")
	scaler := g.startScaler(t, binary, nomadManagement)
	full := func(ctx context.Context) error {
		_, ready, err := store.Counts(ctx, name)
		if err != nil || ready[name] != pool {
			return fmt.Errorf("%d ready, %v", ready[name], err)
		}
		return nil
	}
	eventually(t, full)
	// lost are the pool's sessions that ended, or whose hook failed. A scaler may have replaced one
	// while it was claimed: then there is one too many, unused, when it is back.
	lost := func() (found []string) {
		events, err := rdb.XRange(patient(t), "greenroom:events", "-", "+").Result()
		agenttest.Must(t, err)
		for _, e := range events {
			reason := fmt.Sprint(e.Values["reason"])
			if kind := e.Values["type"]; e.Values["pool"] == name && !strings.HasPrefix(reason, "excess") && (kind == "ending" || kind == "ended" || kind == "hook_failed") {
				found = append(found, fmt.Sprint(e.Values["session"], " ", kind, " ", reason))
			}
		}
		return found
	}
	launch := func(api caller, more map[string]any) (status int, origin, body string) {
		t.Helper()
		order := map[string]any{"image": name, "zone": east.Name, "user": map[string]any{"id": "u-1"}}
		for k, v := range more {
			order[k] = v
		}
		status, reply := api.as("", http.MethodPost, "/v1/sessions", order)
		var answer struct{ Origin string }
		agenttest.Must(t, json.Unmarshal(reply, &answer))
		return status, answer.Origin, string(reply)
	}
	says := func(api caller, want bool) {
		t.Helper()
		eventually(t, func(context.Context) error {
			if _, body := api.as("", http.MethodGet, "/v1/status", nil); strings.Contains(string(body), right) != want {
				return fmt.Errorf("the status names the right: %t, want %t: %s", !want, want, body)
			}
			return nil
		})
	}

	broker := g.startAgent(t, binary, token, "broker")
	api := caller{t: t, addr: "http://" + broker.addr}
	eventually(t, func(context.Context) error {
		if status, _ := api.as("", http.MethodGet, "/v1/health/ready", nil); status != http.StatusOK {
			return fmt.Errorf("the broker is not ready: status %d", status)
		}
		return nil
	})
	for range 3 {
		if _, origin, body := launch(api, nil); origin != "on_demand" || !strings.Contains(body, right) {
			t.Errorf("a launch: %s", body)
		}
	}
	if status, _, body := launch(api, map[string]any{"count": 2}); status < 500 || !strings.Contains(body, right) {
		t.Errorf("a launch of several: status %d, %s", status, body)
	}
	says(api, true)
	if found := lost(); len(found) > 0 {
		t.Errorf("sessions of the pool were lost: %v", found)
	}
	eventually(t, full)

	g.narrow(t, name, whole)
	says(api, false)
	if _, origin, body := launch(api, nil); origin != "staged" {
		t.Errorf("with the right, a launch: %s", body)
	}
	broker.stop()
	eventually(t, full)

	// Without shells that are open ahead of time, which no policy closes.
	late := g.startAgent(t, binary, token, "broker", "--max-armed", "0")
	api = caller{t: t, addr: "http://" + late.addr}
	eventually(t, func(context.Context) error {
		if _, origin, body := launch(api, nil); origin != "staged" {
			return errors.New(body)
		}
		return nil
	})
	eventually(t, full)
	g.narrow(t, name, without)
	fleet := g.fleet(t, token)
	raw := start(t, g.fleet(t, nomadManagement), newSession(zone), rawSession, zone)
	eventually(t, func(context.Context) error {
		if execIn(t, fleet, raw) == nil {
			return errors.New("the right is not taken away yet")
		}
		return nil
	})
	for range 3 {
		if _, origin, body := launch(api, nil); origin != "on_demand" || !strings.Contains(body, right) {
			t.Errorf("without the right again, a launch: %s", body)
		}
	}
	says(api, true)
	failed := 0
	for _, e := range lost() {
		if strings.Contains(e, " hook_failed ") {
			failed++
		}
	}
	if failed > 1 {
		t.Errorf("%d hooks failed, want one at most: %v", failed, lost())
	}
	late.stop()
	scaler.stop()
}
