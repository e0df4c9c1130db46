package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestWithoutRedisSessionsAreStillGiven: launches use Consul's passing instances and the fate
// records, and a key gets one session. When an empty Redis is back, scalers restore all of it.
func TestWithoutRedisSessionsAreStillGiven(t *testing.T) {
	const ready = 4
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	image := quickImage("lonely")
	d.ask(t, "PUT", "/v1/images/lonely", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/lonely", staging.Config{Zone: "east", Image: "lonely", DesiredSessions: ready}, 201, nil)
	d.untilReady(t, "lonely", ready)
	must(t, c.Redis.Kill())

	var health struct{ Status string }
	d.ask(t, "GET", "/v1/health/ready", nil, 200, &health)
	if health.Status != "degraded" {
		t.Errorf("ready says %q", health.Status)
	}
	// More concurrent callers than sessions, half of them with the same key.
	const callers = 8
	replies := make([]launched, callers)
	var wg sync.WaitGroup
	for i := range callers {
		user, headers := fmt.Sprint("caller-", i), []string(nil)
		if i%2 == 0 {
			user, headers = "keyed", []string{"Idempotency-Key", "one"}
		}
		body, err := json.Marshal(launch("lonely", "east", user))
		must(t, err)
		wg.Go(func() {
			r, err := d.call("POST", "/v1/sessions", string(body), headers...)
			if err != nil {
				t.Error(err)
				return
			}
			switch {
			case r.status == http.StatusCreated:
				if err := json.Unmarshal(r.body, &replies[i]); err != nil {
					t.Error(err)
				}
			case r.status == http.StatusConflict && strings.Contains(string(r.body), "idempotency_key_in_flight") && r.header.Get("Retry-After") != "":
			default:
				t.Errorf("caller %d: %d %s", i, r.status, r.body)
			}
		})
	}
	wg.Wait()
	keyed, err := json.Marshal(launch("lonely", "east", "keyed"))
	must(t, err)
	var again launched
	until(t, "a repeat is answered", func() (bool, string) {
		r, err := d.call("POST", "/v1/sessions", string(keyed), "Idempotency-Key", "one")
		must(t, err)
		return r.status == 201 && json.Unmarshal(r.body, &again) == nil, string(r.body)
	})
	owners, staged := map[string]string{}, 0
	for i, l := range replies {
		if l.ID == "" {
			continue
		}
		if owner, taken := owners[l.ID]; taken && owner != l.User.Name {
			t.Errorf("session %s was given to %s and to %s", l.ID, owner, l.User.Name)
		}
		owners[l.ID] = l.User.Name
		if l.Origin == "staged" {
			staged++
		}
		if l.User.Name == "keyed" && l.ID != again.ID {
			t.Errorf("caller %d with the key got %s, the repeat %s", i, l.ID, again.ID)
		}
		// Read from the session itself.
		if got := record(t, l); len(got) != 1 || got[0].UserName != l.User.Name {
			t.Errorf("session %s of %s says that it served %+v", l.ID, l.User.Name, got)
		}
	}
	if staged == 0 {
		t.Error("no staged session was given")
	}

	must(t, c.Redis.Restart(t.Context()))
	must(t, d.wipeRedis(t))
	for id, owner := range owners {
		until(t, "Redis knows whose "+id+" is", func() (bool, string) {
			r, err := d.call("GET", "/v1/sessions/"+id, "")
			must(t, err)
			var s launched
			return r.status == 200 && json.Unmarshal(r.body, &s) == nil && s.State == "assigned" && s.User.Name == owner, string(r.body)
		})
	}
	var after launched
	until(t, "the key's session is known", func() (bool, string) {
		r, err := d.call("POST", "/v1/sessions", string(keyed), "Idempotency-Key", "one")
		must(t, err)
		return r.status == 201 && json.Unmarshal(r.body, &after) == nil, string(r.body)
	})
	if after.ID != again.ID {
		t.Errorf("with Redis back the key gets %s, before %s", after.ID, again.ID)
	}
	d.untilReady(t, "lonely", ready)
}
