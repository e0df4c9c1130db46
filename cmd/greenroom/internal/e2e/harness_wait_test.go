package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
)

// poolStatus is a staging config with its pool's status, as the API answers it.
type poolStatus struct {
	Zone       string
	Current    int `json:"current_sessions"`
	Ready      int `json:"ready_sessions"`
	Conditions []staging.Condition
}

// statusOf reads how a pool stands. Where Redis was away, a broker refuses that for a moment: away
// is its answer then.
func (d *devProcess) statusOf(t *testing.T, pool string) (s poolStatus, away string) {
	t.Helper()
	r, err := d.call("GET", "/v1/staging/"+pool, "")
	must(t, err)
	switch r.status {
	case http.StatusOK:
		must(t, json.Unmarshal(r.body, &s))
	case http.StatusServiceUnavailable:
		return s, string(r.body)
	default:
		t.Fatalf("the status of pool %s: %d\n%s", pool, r.status, r.body)
	}
	return s, ""
}

// untilReady waits until a pool has n ready sessions, in the API and in Consul, and claims
// use Redis.
func (d *devProcess) untilReady(t *testing.T, pool string, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		s, away := d.statusOf(t, pool)
		if away != "" {
			return false, away
		}
		passing := d.passing(t, pool)
		believed := d.believed(t, s.Zone)
		return s.Ready == n && len(passing) >= n && believed, fmt.Sprintf("%+v; passing in Consul: %d; Redis is believed: %v", s, len(passing), believed)
	})
}

// untilCondition waits until a pool has a condition whose message contains a text.
func (d *devProcess) untilCondition(t *testing.T, pool string, kind staging.ConditionType, text string) {
	t.Helper()
	until(t, fmt.Sprintf("%s says %s: %s", pool, kind, text), func() (bool, string) {
		s, away := d.statusOf(t, pool)
		if away != "" {
			return false, away
		}
		for _, c := range s.Conditions {
			if c.Type == kind && strings.Contains(c.Message, text) && !c.Since.IsZero() {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", s)
	})
}

// until waits for a condition, and reports what look saw last if it does not come true.
func until(t *testing.T, what string, look func() (ok bool, saw string)) {
	t.Helper()
	agenttest.Until(t, what, look)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// measured prints a figure, and adds it to those that make test prints at its end.
func measured(format string, args ...any) { agenttest.Measured(format, args...) }
