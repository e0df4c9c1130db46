package webhooks

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// memory is Redis, Consul, the lock, the receiver and the meter in memory.
type memory struct {
	mu       sync.Mutex
	epoch    string
	events   []staging.Event
	cursors  map[string]string
	noted    map[string]staging.WebhookCursor
	pending  []staging.WebhookMessage
	last     int
	got      []staging.Event
	gaps     int
	gone     int
	webhooks map[string]staging.Webhook
	sessions map[string]staging.Session
	configs  map[string]staging.Config
	read     int // how often a session was read
	dropped  []string
	lost     bool
}

func newMemory() *memory {
	return &memory{
		epoch: "first", cursors: map[string]string{}, noted: map[string]staging.WebhookCursor{},
		webhooks: map[string]staging.Webhook{"billing": {Name: "billing"}},
	}
}

func (m *memory) locked() func() { m.mu.Lock(); return m.mu.Unlock }

func (m *memory) happen(n int) {
	defer m.locked()()
	for range n {
		m.last++
		m.events = append(m.events, staging.Event{ID: fmt.Sprintf("%d-0", m.last), Type: staging.EventEnded, Session: "s"})
	}
}

func (m *memory) Epoch(context.Context) (string, error) { defer m.locked()(); return m.epoch, nil }

func (m *memory) EventsFrom(_ context.Context, position string, count int) (found []staging.Event, kept bool, err error) {
	defer m.locked()()
	for _, e := range m.events {
		switch c := staging.CompareEventIDs(e.ID, position); {
		case c == 0:
			kept = true
		case c > 0 && len(found) < count:
			found = append(found, e)
		}
	}
	return found, kept, nil
}

func (m *memory) Session(_ context.Context, id string) (staging.Session, error) {
	defer m.locked()()
	m.read++
	if s, ok := m.sessions[id]; ok {
		return s, nil
	}
	return staging.Session{}, staging.ErrNoSession
}
func (m *memory) TrimEvents(context.Context) error { return nil }
func (m *memory) OpenWebhooks(context.Context) ([]string, error) {
	return nil, nil
}

func (m *memory) OpenWebhook(_ context.Context, name string) (string, error) {
	defer m.locked()()
	if m.cursors[name] == "" {
		m.cursors[name] = "0-0"
		if n := len(m.events); n > 0 {
			m.cursors[name] = m.events[n-1].ID
		}
	}
	return m.cursors[name], nil
}

func (m *memory) DropWebhook(_ context.Context, name string) error {
	defer m.locked()()
	m.dropped = append(m.dropped, name)
	m.pending = nil
	delete(m.cursors, name)
	return nil
}

func (m *memory) TakeEvents(_ context.Context, name, from, to string, events []staging.Event) error {
	defer m.locked()()
	if m.cursors[name] != from {
		return staging.ErrWebhookMoved
	}
	for _, e := range events {
		m.queue(e)
	}
	m.cursors[name] = to
	return nil
}

func (m *memory) queue(e staging.Event) {
	m.pending = append(m.pending, staging.WebhookMessage{Position: fmt.Sprintf("%d-0", 1000+len(m.pending)), Event: e})
}

func (m *memory) PendingMessages(_ context.Context, _, after string, _ int) (found []staging.WebhookMessage, err error) {
	defer m.locked()()
	for _, p := range m.pending {
		if after == "" || staging.CompareEventIDs(p.Position, after) > 0 {
			found = append(found, p)
		}
	}
	return found, nil
}
func (m *memory) Delivered(context.Context, string, []string) error { return nil }
func (m *memory) Tried(context.Context, string, string, staging.WebhookTries) error {
	return nil
}

func (m *memory) Bury(context.Context, string, string, staging.WebhookTries) (int, error) {
	return 0, nil
}

func (m *memory) NoteGap(_ context.Context, _ string, gap staging.Event) error {
	defer m.locked()()
	m.queue(gap)
	return nil
}

func (m *memory) SetWebhookHealth(context.Context, string, staging.WebhookHealth) error { return nil }

func (m *memory) WebhookDeliveries(context.Context, string) (staging.WebhookDeliveries, error) {
	return staging.WebhookDeliveries{}, nil
}

func (m *memory) Resources() staging.Resources {
	defer m.locked()()
	return staging.Resources{Webhooks: maps.Clone(m.webhooks), Configs: m.configs, Index: 1}
}

func (m *memory) WebhookCursor(_ context.Context, name string) (staging.WebhookCursor, error) {
	defer m.locked()()
	return m.noted[name], nil
}

func (m *memory) PutWebhookCursor(_ context.Context, name string, c staging.WebhookCursor) error {
	defer m.locked()()
	m.noted[name] = c
	return nil
}
func (m *memory) DropWebhookCursor(context.Context, string) error { return nil }

func (m *memory) Deliver(_ context.Context, _ staging.Webhook, e staging.Event) error {
	defer m.locked()()
	if !slices.ContainsFunc(m.got, func(g staging.Event) bool { return g.ID == e.ID }) {
		m.got = append(m.got, e)
	}
	return nil
}
func (m *memory) Held(string) bool        { defer m.locked()(); return !m.lost }
func (m *memory) Delivery(string, Result) {}
func (m *memory) Gap(string)              { defer m.locked()(); m.gaps++ }
func (m *memory) Deliveries(string, staging.WebhookDeliveries, time.Time) {
}
func (m *memory) Gone(string) { defer m.locked()(); m.gone++ }

// until waits for a condition on the memory.
func (m *memory) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		m.mu.Lock()
		done := is()
		m.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s: %d delivered, %d gaps", what, len(m.got), m.gaps)
		}
	}
}

func (m *memory) send(t *testing.T) (stop func()) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := New(Parts{Events: m, Queue: m, Registry: m, Receivers: m, Locks: m, Meter: m, Log: logrus.NewEntry(log)})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// TestAGapIsSaidWhereEventsAreGone: because the stream was trimmed behind the cursor while
// nobody sent, or since Redis was restored to an older state. Otherwise none is said, and each
// event is delivered, also by a next sender.
func TestAGapIsSaidWhereEventsAreGone(t *testing.T) {
	m := newMemory()
	stop := m.send(t)
	m.until(t, "the webhook is open", func() bool { return m.cursors["billing"] != "" })
	m.happen(250)
	m.until(t, "all are delivered", func() bool { return len(m.got) == 250 })
	stop()
	m.happen(250)
	stop = m.send(t)
	m.until(t, "those of the meantime are delivered", func() bool { return len(m.got) == 500 })
	if m.gaps != 0 {
		t.Errorf("%d gaps, and nothing is gone", m.gaps)
	}
	stop()

	m.happen(300)
	m.mu.Lock()
	m.events = m.events[600:] // the cursor is at 500
	m.mu.Unlock()
	stop = m.send(t)
	m.until(t, "a gap, and what is kept", func() bool { return len(m.got) == 701 && m.gaps == 1 })
	stop()
	// A gap is of no session, so it may come beside the first of the others.
	isGap := func(e staging.Event) bool {
		return e.Type == staging.WebhookGap && strings.Contains(e.Reason, "more happened")
	}
	if !slices.ContainsFunc(m.got[500:], isGap) {
		t.Errorf("no message says that more happened: %+v", m.got[500:])
	}

	m.mu.Lock()
	m.cursors["billing"] = "700-0" // Consul has seen 800
	m.mu.Unlock()
	stop = m.send(t)
	m.until(t, "a gap since Redis is older", func() bool { return m.gaps == 2 })
	// While it runs, everything is lost.
	m.mu.Lock()
	m.cursors, m.epoch, m.events = map[string]string{}, "second", nil
	m.mu.Unlock()
	m.happen(1)
	m.until(t, "a gap since Redis is another", func() bool { return m.gaps == 3 })
	stop()
}

// TestOnlyTheHolderOfTheLockSends: a sender that may have lost it sends nothing more.
func TestOnlyTheHolderOfTheLockSends(t *testing.T) {
	m := newMemory()
	stop := m.send(t)
	defer stop()
	m.until(t, "the webhook is open", func() bool { return m.cursors["billing"] != "" })
	m.happen(10)
	m.until(t, "all are delivered", func() bool { return len(m.got) == 10 })
	m.mu.Lock()
	m.lost = true
	m.mu.Unlock()
	// Its series go once nothing of it runs any more.
	m.until(t, "it has ended", func() bool { return m.gone > 0 })
	m.happen(10)
	m.mu.Lock()
	if len(m.got) != 10 || m.cursors["billing"] != "10-0" {
		t.Errorf("without the lock %d are delivered, and taken up to %s", len(m.got), m.cursors["billing"])
	}
	m.lost = false
	m.mu.Unlock()
	m.until(t, "with the lock again, all are delivered", func() bool { return len(m.got) == 20 })
}

// TestAMessageHasTheImageOfItsSession: also of a session without a pool, and of one that began before its
// pool's image changed. Each session is read once, and none for events that nobody wants.
func TestAMessageHasTheImageOfItsSession(t *testing.T) {
	m := newMemory()
	m.webhooks["billing"] = staging.Webhook{Name: "billing", Events: []staging.EventType{staging.EventAssigned, staging.EventEnded}, Images: []string{"old", "new"}}
	m.sessions = map[string]staging.Session{"on-demand": {Image: "new"}, "staged": {Image: "old"}}
	m.configs = map[string]staging.Config{"pool": {Image: "new"}}
	stop := m.send(t)
	m.until(t, "the webhook is open", func() bool { return m.cursors["billing"] != "" })
	m.mu.Lock()
	m.events = []staging.Event{
		{ID: "1-0", Type: staging.EventReady, Session: "staged", Pool: "pool"},
		{ID: "2-0", Type: staging.EventAssigned, Session: "on-demand"},
		{ID: "3-0", Type: staging.EventAssigned, Session: "staged", Pool: "pool"},
		{ID: "4-0", Type: staging.EventEnded, Session: "on-demand"},
		{ID: "5-0", Type: staging.EventEnded, Session: "staged", Pool: "pool"},
		{ID: "6-0", Type: staging.EventEnded, Session: "forgotten", Pool: "pool"},
		{ID: "7-0", Type: staging.EventEnded, Session: "forgotten on demand"},
	}
	m.mu.Unlock()
	m.until(t, "all are taken", func() bool { return m.cursors["billing"] == "7-0" && len(m.got) == 5 })
	stop()
	got := map[string]string{}
	for _, e := range m.got {
		got[e.ID] = e.Image
	}
	want := map[string]string{"2-0": "new", "3-0": "old", "4-0": "new", "5-0": "old", "6-0": "new"}
	if !maps.Equal(got, want) || m.read != 4 {
		t.Errorf("the messages have the images %v, want %v; sessions were read %d times, want 4", got, want, m.read)
	}
}

// TestADeletedWebhookIsForgottenAtOnce, so that one of the same name, which may lead elsewhere, does not get its
// messages.
func TestADeletedWebhookIsForgottenAtOnce(t *testing.T) {
	m := newMemory()
	stop := m.send(t)
	defer stop()
	m.until(t, "the webhook is open", func() bool { return m.cursors["billing"] != "" })
	m.mu.Lock()
	delete(m.webhooks, "billing")
	m.mu.Unlock()
	m.until(t, "it is dropped", func() bool { return slices.Contains(m.dropped, "billing") })
}
