package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// poolStatus is a staging config with its pool's status, as the API answers it.
type poolStatus struct {
	Zone       string
	Current    int `json:"current_sessions"`
	Ready      int `json:"ready_sessions"`
	Conditions []staging.Condition
}

// untilReady waits until a pool has n ready sessions, in the API and in Consul, and claims
// use Redis.
func (d *devProcess) untilReady(t *testing.T, pool string, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		passing := d.passing(t, pool)
		believed := d.believed(t, s.Zone)
		return s.Ready == n && len(passing) >= n && believed, fmt.Sprintf("%+v; passing in Consul: %d; Redis is believed: %v", s, len(passing), believed)
	})
}

// untilCondition waits until a pool has a condition whose message contains a text.
func (d *devProcess) untilCondition(t *testing.T, pool string, kind staging.ConditionType, text string) {
	t.Helper()
	until(t, fmt.Sprintf("%s says %s: %s", pool, kind, text), func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		for _, c := range s.Conditions {
			if c.Type == kind && strings.Contains(c.Message, text) && !c.Since.IsZero() {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", s)
	})
}

// until waits up to two minutes for a condition, and reports what look saw last if it does
// not come true.
func until(t *testing.T, what string, look func() (ok bool, saw string)) {
	t.Helper()
	untilEvery(t, 50*time.Millisecond, what, look)
}

// untilEvery is until with a longer pause between looks, where looking loads the servers.
func untilEvery(t *testing.T, pause time.Duration, what string, look func() (ok bool, saw string)) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok, saw := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes; last seen: %s", what, saw)
		}
		time.Sleep(pause)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// measured prints a figure, and adds it to the file that make test prints at its end.
func measured(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Print(line)
	path := os.Getenv("GREENROOM_MEASURED")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the measured figure:", err)
		return
	}
	defer f.Close()
	fmt.Fprint(f, "  ", line)
}
