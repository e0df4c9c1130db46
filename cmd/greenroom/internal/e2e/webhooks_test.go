package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// hookDeliveries is the API's answer about how far deliveries are.
type hookDeliveries struct {
	Pending      int
	DeadLetters  int    `json:"dead_letters"`
	FailingSince string `json:"failing_since"`
	Error        string
	Gaps         int
}

func (d *devProcess) deliveries(t *testing.T, webhook string) (s hookDeliveries) {
	t.Helper()
	r, err := d.call("GET", "/v1/webhooks/"+webhook+"/deliveries", "")
	must(t, err)
	if r.status == http.StatusServiceUnavailable {
		return hookDeliveries{Pending: -1, Error: string(r.body)} // Redis is away
	}
	d.ask(t, "GET", "/v1/webhooks/"+webhook+"/deliveries", nil, 200, &s)
	return s
}

// launchMock launches a mock session for a user of its own.
func (d *devProcess) launchMock(t *testing.T, user string) string {
	t.Helper()
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", user), 201, &l)
	return l.ID
}

// untilTold waits until a receiver has the whole of what the API and Nomad say happened: each
// session that was launched was assigned, and each that Nomad runs no more has ended.
func (r *receiver) untilTold(t *testing.T, d *devProcess, launched []string) {
	t.Helper()
	until(t, "the receiver was told of every session", func() (bool, string) {
		running := map[string]bool{}
		for _, j := range d.jobs(t, "mock") {
			running[j.id] = true
		}
		for _, id := range launched {
			want := "assigned"
			if !running[id] {
				want = "assigned ending ended"
			}
			if got := strings.Join(r.types(t, id), " "); got != want {
				return false, fmt.Sprintf("session %s: %q, want %q; pending: %+v", id, got, want, d.deliveries(t, "ledger"))
			}
		}
		return true, ""
	})
}

// TestWebhooksDeliverEverythingInOrder: a receiver that is killed, slow and killed again, and a
// sender that is killed, lose nothing; a session's messages come in their order; and a receiver
// that never answers holds up neither launches nor the other receiver.
func TestWebhooksDeliverEverythingInOrder(t *testing.T) {
	c, d := startCluster(t, 6)
	scalers := []*agent{startAgent(t, c, "scaler"), startAgent(t, c, "scaler")}
	ledger, stuck := startReceiver(t), startReceiver(t)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	stuck.answerWith(func(ctx context.Context, _ hookMessage) int {
		select {
		case <-never:
		case <-ctx.Done():
		}
		return 503
	})

	d.ask(t, "PUT", "/v1/webhooks/ledger", staging.Webhook{
		URL: ledger.URL, Secret: webhookSecret, Events: []staging.EventType{"assigned", "ending", "ended"}, Images: []string{"mock"},
	}, 201, nil)
	d.ask(t, "PUT", "/v1/webhooks/stuck", staging.Webhook{URL: stuck.URL, Secret: webhookSecret}, 201, nil)
	if r := d.ask(t, "GET", "/v1/webhooks", nil, 200, nil); strings.Contains(string(r.body), "whsec_") {
		t.Errorf("a secret is shown: %s", r.body)
	}
	var tried struct{ Delivered bool }
	if d.ask(t, "POST", "/v1/webhooks/ledger/test", nil, 200, &tried); !tried.Delivered || ledger.count(t, "test") != 1 {
		t.Errorf("the test message: %+v, %d came", tried, ledger.count(t, "test"))
	}
	d.untilReady(t, "mock", 6)

	// While it is killed, sessions are launched and end.
	ledger.kill()
	var all []string
	for i := range 4 {
		all = append(all, d.launchMock(t, fmt.Sprint("down", i)))
	}
	for _, id := range all[:2] {
		d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil)
		d.untilEnded(t, id)
	}
	until(t, "the deliveries say that the receiver is down", func() (bool, string) {
		s := d.deliveries(t, "ledger")
		return s.Pending >= 8 && s.FailingSince != "" && strings.Contains(s.Error, "cannot be reached"), fmt.Sprintf("%+v", s)
	})
	// The sender is killed. The other scaler takes over, and the receiver is back, slow.
	sender := d.holder(t, "_webhooks", scalers...)
	sender.End(t, syscall.SIGKILL)
	release := make(chan struct{})
	ledger.answerWith(func(context.Context, hookMessage) int { <-release; return 204 })
	ledger.start(t)
	other := d.holder(t, "_webhooks", slices.DeleteFunc(scalers, func(a *agent) bool { return a == sender })...)
	until(t, "the slow receiver has messages", func() (bool, string) {
		ledger.mu.Lock()
		defer ledger.mu.Unlock()
		return ledger.now > 0, fmt.Sprint(ledger.now)
	})
	for i := range 4 {
		all = append(all, d.launchMock(t, fmt.Sprint("slow", i)))
	}
	// Killed in the middle of messages, whose outcome the sender does not know.
	ledger.kill()
	close(release)
	ledger.answerWith(nil)
	ledger.start(t)
	d.ask(t, "DELETE", "/v1/sessions/"+all[5], nil, 204, nil)
	d.untilEnded(t, all[5])
	ledger.untilTold(t, d, all)
	until(t, "nothing is pending", func() (bool, string) {
		s := d.deliveries(t, "ledger")
		return s.Pending == 0 && s.FailingSince == "", fmt.Sprintf("%+v", s)
	})
	ledger.ordered(t)
	ledger.verified(t)
	for _, m := range ledger.messages(t) {
		if e := m.event.Data; m.event.Type != "test" && (e.Image != "mock" || e.Zone != "east" || !strings.HasPrefix(e.User, "u-")) {
			t.Errorf("a message does not say whose or what it is: %+v", e)
		}
	}
	// The one that never answers has its messages pending, and few on their way.
	if s := d.deliveries(t, "stuck"); s.Pending < 20 || s.DeadLetters != 0 {
		t.Errorf("the receiver that never answers: %+v", s)
	}
	if stuck.most > 8 || ledger.most > 8 {
		t.Errorf("%d and %d messages were on their way at once, want at most 8", stuck.most, ledger.most)
	}
	agent := "http://" + other.Address
	if n := metric(t, agent, `greenroom_webhook_deliveries_total{result="delivered",webhook="ledger"}`); n == 0 {
		t.Error("no delivery is counted")
	}
	if lag := metric(t, agent, `greenroom_webhook_lag_seconds{webhook="stuck"}`); lag == 0 {
		t.Error("the lag of the receiver that never answers is 0")
	}
}

// TestDeadLettersAreSeenAndReplayed: a message that is refused for long becomes a dead letter,
// the messages behind it and those of others go on, and a replay delivers it.
func TestDeadLettersAreSeenAndReplayed(t *testing.T) {
	c, d := startCluster(t, 3)
	startAgent(t, c, "scaler")
	ledger := startReceiver(t)
	d.untilReady(t, "mock", 3)
	refused := make(chan struct{})
	ledger.answerWith(func(_ context.Context, m hookMessage) int {
		select {
		case <-refused:
			return 200
		default:
		}
		if m.event.Data.User == "u-bad" && m.event.Type == "assigned" {
			return 400
		}
		return 200
	})
	d.ask(t, "PUT", "/v1/webhooks/ledger", staging.Webhook{
		URL: ledger.URL, Secret: webhookSecret, Events: []staging.EventType{"assigned", "ending", "ended"}, GiveUpAfter: staging.Duration(2e9),
	}, 201, nil)
	bad, good := d.launchMock(t, "bad"), d.launchMock(t, "good")
	d.ask(t, "DELETE", "/v1/sessions/"+bad, nil, 204, nil)
	until(t, "the session's messages behind the dead letter come, and the other session's", func() (bool, string) {
		types := [][]string{ledger.types(t, bad), ledger.types(t, good)}
		return slices.Equal(types[0], []string{"ending", "ended"}) && slices.Equal(types[1], []string{"assigned"}), fmt.Sprint(types)
	})
	var list struct {
		Items []struct {
			ID, Error string
			MessageID string `json:"message_id"`
			Tries     int
			Event     struct{ Type, Session string }
		}
	}
	d.ask(t, "GET", "/v1/webhooks/ledger/dead-letters", nil, 200, &list)
	if len(list.Items) != 1 || list.Items[0].Event.Session != bad || list.Items[0].Event.Type != "assigned" || list.Items[0].Tries < 2 || !strings.Contains(list.Items[0].Error, "400") {
		t.Fatalf("the dead letters: %+v", list)
	}
	out, err := command("webhooks", "dead-letters", "ledger", "--address", d.Broker).CombinedOutput()
	if err != nil || !strings.Contains(string(out), bad) {
		t.Errorf("greenroom webhooks dead-letters: %v\n%s", err, out)
	}
	close(refused)
	if out, err := command("webhooks", "replay", "ledger", "--address", d.Broker).CombinedOutput(); err != nil || !strings.Contains(string(out), "1 dead letter") {
		t.Errorf("greenroom webhooks replay: %v\n%s", err, out)
	}
	until(t, "the replayed message comes", func() (bool, string) {
		types := ledger.types(t, bad)
		return slices.Equal(types, []string{"ending", "ended", "assigned"}), fmt.Sprint(types)
	})
	if s := d.deliveries(t, "ledger"); s.DeadLetters != 0 {
		t.Errorf("after the replay: %+v", s)
	}
	if last := ledger.messages(t)[3]; last.ID != list.Items[0].MessageID {
		t.Errorf("the replayed message has the id %s, want %s", last.ID, list.Items[0].MessageID)
	}
}

// TestAWebhookSaysWhereEventsMayBeMissing: after a loss of Redis the receiver gets a gap, and
// then again whose the running sessions are.
func TestAWebhookSaysWhereEventsMayBeMissing(t *testing.T) {
	c, d := startCluster(t, 2)
	s := startAgent(t, c, "scaler")
	ledger := startReceiver(t)
	d.untilReady(t, "mock", 2)
	d.ask(t, "PUT", "/v1/webhooks/ledger", staging.Webhook{URL: ledger.URL, Secret: webhookSecret, Events: []staging.EventType{"assigned", "ended"}}, 201, nil)
	id := d.launchMock(t, "kept")
	until(t, "its assignment comes", func() (bool, string) {
		return slices.Equal(ledger.types(t, id), []string{"assigned"}), fmt.Sprint(ledger.types(t, id))
	})
	must(t, d.wipeRedis(t))
	until(t, "a gap comes, and the assignment again", func() (bool, string) {
		types := ledger.types(t, id)
		return ledger.count(t, "gap") == 1 && slices.Equal(types, []string{"assigned", "assigned"}), fmt.Sprint(ledger.count(t, "gap"), types)
	})
	if n := metric(t, "http://"+s.Address, `greenroom_webhook_gaps_total{webhook="ledger"}`); n != 1 {
		t.Errorf("%v gaps are counted, want 1", n)
	}
	if s := d.deliveries(t, "ledger"); s.Gaps != 1 {
		t.Errorf("the deliveries say: %+v", s)
	}
	d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil)
	d.untilEnded(t, id)
	until(t, "its end comes", func() (bool, string) {
		return ledger.count(t, "ended") > 0 && slices.Contains(ledger.types(t, id), "ended"), fmt.Sprint(ledger.types(t, id))
	})
}
