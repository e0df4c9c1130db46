package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestOneUserHasNoMoreSessionsThanTheBrokersAllow: concurrent launches at two brokers, for one
// session each and for several, staged and on demand, leave the user with no more than the
// brokers' own limit, and the refusals say which limit it is. Another user is served.
func TestOneUserHasNoMoreSessionsThanTheBrokersAllow(t *testing.T) {
	limits := []string{"--max-sessions-per-user", "3", "--user-rate", "0"}
	c, d := startCluster(t, 2, limits...)
	other := &devProcess{}
	other.Broker = "http://" + startAgent(t, c, "broker", limits...).Address
	startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 2)
	var wg sync.WaitGroup
	for i := range 12 {
		broker, body := []*devProcess{d, other}[i%2], launch("mock", "east", "greedy")
		if i%4 == 0 {
			body["count"] = 2
		}
		wg.Go(func() {
			r, err := broker.call("POST", "/v1/sessions?wait=0s", jsonText(body))
			limited := err == nil && r.status == http.StatusConflict && strings.Contains(string(r.body), "this broker's setting max_sessions_per_user allows 3 at once")
			// A launch of several does not wait for sessions.
			if err != nil || r.status != http.StatusCreated && r.status != http.StatusAccepted && r.status != http.StatusServiceUnavailable && !limited {
				t.Errorf("%v %d %s", err, r.status, r.body)
			}
		})
	}
	wg.Wait()
	var theirs launchedList
	d.ask(t, "GET", "/v1/sessions?user=u-greedy", nil, 200, &theirs)
	if n := len(theirs.Items); n == 0 || n > 3 {
		t.Errorf("the user has %d sessions", n)
	}
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "modest"), 201, nil)
}

// TestOneUserLaunchesNoFasterThanTheBrokersAllow, whoever launches for the user.
func TestOneUserLaunchesNoFasterThanTheBrokersAllow(t *testing.T) {
	_, d := startCluster(t, 0, "--user-rate", "0.01")
	d.ask(t, "POST", "/v1/sessions?wait=0s", launch("mock", "east", "eager"), 202, nil)
	r, err := d.call("POST", "/v1/sessions?wait=0s", jsonText(launch("mock", "east", "eager")))
	if err != nil || r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" || !strings.Contains(string(r.body), "one user may launch 0.01 sessions a second") {
		t.Errorf("%v %d %s", err, r.status, r.body)
	}
	d.ask(t, "POST", "/v1/sessions?wait=0s", launch("mock", "east", "other"), 202, nil)
}
