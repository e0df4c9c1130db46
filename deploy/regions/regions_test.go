package regions_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLaunchesCrossRegions: two federated Nomad regions with a greenroom each, of which one asks
// the other. The parts share the servers, and each uses users and keys of its own.
func TestLaunchesCrossRegions(t *testing.T) {
	w := start(t)
	t.Run("the order of the steps is kept", w.order)
	t.Run("one key is one session, at whichever broker", w.oneKey)
	t.Run("calls about a session are passed on", w.passedOn)
	t.Run("a lost answer costs no second session", w.lostAnswer)
	t.Run("a region that is cut off costs its own sessions alone", w.cutOff)
}

// order: what is staged comes first, in this region and then in the other, and after that what is
// made, in the same order of zones.
func (w *world) order(t *testing.T) {
	for _, c := range []struct {
		image, origin, peer string
		steps               []string
	}{
		{"everywhere", "staged", "", []string{"staged in east: served"}},
		{"west-staged", "staged", "west", []string{"staged in east: skipped", "staged in abroad: served"}},
		{"cold", "on_demand", "", []string{"staged in east: skipped", "staged in abroad: skipped", "on_demand in east: served"}},
		{"west-only", "on_demand", "west", []string{"staged in east: skipped", "staged in abroad: skipped", "on_demand in abroad: served"}},
	} {
		user := "order-" + c.image
		status, l := launch(t, w.east.api, c.image, user, "")
		if status != 201 || l.Origin != c.origin || l.Peer != c.peer {
			t.Errorf("%s: status %d, origin %q, peer %q, want 201, %q, %q: %+v", c.image, status, l.Origin, l.Peer, c.origin, c.peer, l)
		}
		if got := l.steps(); !slices.Equal(got, c.steps) {
			t.Errorf("%s: the steps are %q, want %q: %+v", c.image, got, c.steps, l.Attempts)
		}
		here, there := w.east, w.west
		if c.peer != "" {
			here, there = there, here
		}
		if got := sessionsOf(t, here, user); !slices.Equal(got, []string{l.ID}) {
			t.Errorf("%s: the region that gave it has %q of the user, want %q", c.image, got, l.ID)
		}
		if got := sessionsOf(t, there, user); len(got) > 0 {
			t.Errorf("%s: the other region has %q of the user", c.image, got)
		}
		if c.peer != "" && (l.Zone != "abroad" || l.PeerAddress != w.peerAddress || l.Token == "") {
			t.Errorf("%s: the answer does not lead to the peer: %+v", c.image, l)
		}
		// The job is in the Nomad region of that greenroom, which its federation reaches from both.
		var job struct{ Region, Status string }
		region := map[bool]string{true: "west", false: "east"}[c.peer != ""]
		agenttest.Must(t, nomad(t.Context(), w.east, "/v1/job/"+l.ID+"?region="+region, &job))
		if job.Region != region || job.Status != "running" {
			t.Errorf("%s: its job is %+v, want it to run in %s", c.image, job, region)
		}
	}
}

// oneKey: launches with one key, many at a time and at both brokers, get one session.
func (w *world) oneKey(t *testing.T) {
	w.west.api.UntilReady(t, "west-staged", 3)
	const user, key = "one-key", "key of one-key"
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			at := []agenttest.API{w.east.api, w.second}[i%2]
			for { // one that comes while the first is under way may be told to repeat
				status, l := launch(t, at, "west-staged", user, key)
				if status != http.StatusConflict || l.Code != "idempotency_key_in_flight" {
					ids[i] = fmt.Sprint(status, " ", l.ID, " ", l.Code, l.Detail)
					return
				}
			}
		})
	}
	wg.Wait()
	theirs := sessionsOf(t, w.west, user)
	if len(theirs) != 1 || slices.ContainsFunc(ids, func(got string) bool { return !strings.HasPrefix(got, "201 "+theirs[0]) }) {
		t.Errorf("eight launches with one key: %q; the user's sessions are %q", ids, theirs)
	}
	if got := sessionsOf(t, w.east, user); len(got) > 0 {
		t.Errorf("east has %q of the user", got)
	}
	if status, l := launch(t, w.second, "everywhere", user, key); status != http.StatusUnprocessableEntity || l.Code != "idempotency_key_reused" {
		t.Errorf("the key with another body: %d %+v", status, l)
	}
}

// passedOn: a session at the peer is read, kept alive and ended by its id at either broker.
func (w *world) passedOn(t *testing.T) {
	w.west.api.UntilReady(t, "west-staged", 1)
	_, l := launch(t, w.east.api, "west-staged", "passed-on", "")
	path := "/v1/sessions/" + l.ID
	var read launched
	for _, at := range []agenttest.API{w.east.api, w.second} {
		at.Ask(t, "GET", path, nil, 200, &read)
		if read.ID != l.ID || read.Zone != "abroad" || read.Peer != "west" || read.State != "assigned" {
			t.Errorf("read at %s: %+v", at.URL, read)
		}
	}
	w.second.Ask(t, "POST", path+"/keepalive", nil, 200, nil)
	// What the token may not do there, it is told, and whom to call.
	refused := w.east.api.Ask(t, "GET", path+"/logs", nil, 403, nil)
	if !strings.Contains(string(refused.Body), w.peerAddress) || strings.Contains(string(refused.Body), w.peerToken) {
		t.Errorf("what the peer refuses is answered with %s", refused.Body)
	}
	w.east.api.Ask(t, "DELETE", path, nil, 204, nil)
	agenttest.Until(t, "the session has ended", func() (bool, string) {
		left := sessionsOf(t, w.west, "passed-on")
		return len(left) == 0, fmt.Sprint(left)
	})
	w.east.api.Ask(t, "GET", "/v1/sessions/gr-01jd0c8m4q2v5n7x9z3b6f8h1k", nil, 404, nil)
}

// lostAnswer: west gives a session, and its answer does not arrive.
func (w *world) lostAnswer(t *testing.T) {
	w.west.api.UntilReady(t, "west-staged", 1)
	const user, key = "lost-answer", "key of lost-answer"
	w.road.loses.Store(true)
	status, l := launch(t, w.east.api, "west-staged", user, key)
	w.road.loses.Store(false)
	if status != http.StatusServiceUnavailable || l.Code != "peer_unavailable" {
		t.Fatalf("a launch whose answer was lost: %d %+v", status, l)
	}
	theirs := sessionsOf(t, w.west, user)
	if len(theirs) != 1 {
		t.Fatalf("west gave %q, want one session", theirs)
	}
	if status, l = launch(t, w.second, "west-staged", user, key); status != 201 || l.ID != theirs[0] {
		t.Errorf("the repeat at the other broker: %d %+v, want %s", status, l, theirs[0])
	}
	if got := slices.Concat(sessionsOf(t, w.west, user), sessionsOf(t, w.east, user)); !slices.Equal(got, theirs) {
		t.Errorf("the user's sessions are %q, want %q alone", got, theirs)
	}
	w.second.Ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, nil)
}

// cutOff: west's broker hangs, as a host does that is cut off, while a launch is at it.
func (w *world) cutOff(t *testing.T) {
	w.west.api.UntilReady(t, "west-staged", 1)
	_, before := launch(t, w.east.api, "west-staged", "before", "")
	const user, key = "in-between", "key of in-between"
	w.westBroker.Signal(t, syscall.SIGSTOP)
	stopped := true
	resume := func() {
		if stopped {
			stopped = false
			w.westBroker.Signal(t, syscall.SIGCONT)
		}
	}
	defer resume()
	began := time.Now()
	status, l := launch(t, w.east.api, "west-staged", user, key)
	t.Logf("a launch that was on its way: %d %s after %s: %s", status, l.Code, time.Since(began).Round(time.Millisecond), l.Detail)
	if status != http.StatusServiceUnavailable || l.Code != "peer_unavailable" {
		t.Errorf("a launch that was on its way when the region was cut off: %d %+v", status, l)
	}
	for _, at := range []agenttest.API{w.east.api, w.second} {
		agenttest.Until(t, "the status says that the peer does not answer", func() (bool, string) {
			r := at.Ask(t, "GET", "/v1/status", nil, 200, nil)
			return strings.Contains(string(r.Body), "peer west at "+w.peerAddress+": it does not answer"), string(r.Body)
		})
	}
	// East goes on by itself, and says why it does not cross.
	w.east.api.UntilReady(t, "everywhere", 1)
	for image, origin := range map[string]string{"everywhere": "staged", "west-staged": "on_demand", "cold": "on_demand"} {
		began := time.Now()
		status, l := launch(t, w.second, image, "alone", "")
		t.Logf("cut off: %s after %s: %q", image, time.Since(began).Round(time.Millisecond), l.steps())
		if status != 201 || l.Origin != origin || l.Peer != "" {
			t.Errorf("%s, while west is cut off: %d %+v", image, status, l)
		}
		if image != "everywhere" && !strings.Contains(fmt.Sprint(l.Attempts), "it does not answer") {
			t.Errorf("%s: the attempts do not say why it did not cross: %+v", image, l.Attempts)
		}
	}
	if status, l := launch(t, w.east.api, "west-only", "alone", ""); status != http.StatusServiceUnavailable || l.Code != "peer_unavailable" {
		t.Errorf("what runs there alone, while it is cut off: %d %+v", status, l)
	}
	// Whether the launch on its way was given a session is west's to say, also at the other broker.
	if status, l := launch(t, w.second, "west-staged", user, key); status != http.StatusServiceUnavailable || l.Code != "peer_unavailable" {
		t.Errorf("a repeat while west is cut off: %d %+v", status, l)
	}
	away := w.second.Ask(t, "GET", "/v1/sessions/"+before.ID, nil, 503, nil)
	if !strings.Contains(string(away.Body), w.peerAddress) {
		t.Errorf("a read of a session there is answered with %s", away.Body)
	}
	// The sessions there go on.
	var job struct{ Status string }
	agenttest.Must(t, nomad(context.Background(), w.west, "/v1/job/"+before.ID, &job))
	if job.Status != "running" {
		t.Errorf("the session that west gave before is %s", job.Status)
	}

	resume()
	agenttest.Until(t, "the repeat is served, once west is back", func() (bool, string) {
		status, l = launch(t, w.second, "west-staged", user, key)
		return status == 201, fmt.Sprintf("%d %+v", status, l)
	})
	all := slices.Concat(sessionsOf(t, w.west, user), sessionsOf(t, w.east, user))
	if !slices.Equal(all, []string{l.ID}) {
		t.Errorf("after the cut the user's sessions are %q, want %q alone", all, l.ID)
	}
	w.east.api.Ask(t, "GET", "/v1/sessions/"+before.ID, nil, 200, nil)
	if r := w.second.Ask(t, "GET", "/metrics", nil, 200, nil); !strings.Contains(string(r.Body), `greenroom_peer_up{peer="west"} 1`) {
		t.Error("the metrics do not say that the peer answers again")
	}
}
