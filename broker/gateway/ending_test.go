package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/internal/staging"
)

// ending is what a page polls.
type ending struct {
	ID         string
	State      staging.State
	Now        time.Time
	EndsAt     time.Time `json:"ends_at"`
	IdleEndsAt time.Time `json:"idle_ends_at"`
	IdleSoon   bool      `json:"idle_soon"`
	EndsSoon   bool      `json:"ends_soon"`
	Extendable bool
	Until      time.Time `json:"extendable_until"`
}

// TestAPageLearnsWhenItsSessionEnds, which is no use of the session, and says that its user is there,
// which is. It goes on while the servers are away.
func TestAPageLearnsWhenItsSessionEnds(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", show)
	s.AssignedAt = time.Now().Add(-56 * time.Minute).UTC()
	s.Terms = staging.Terms{Idle: staging.Duration(time.Hour), TimeLimit: staging.Duration(8 * time.Hour)}
	w.put(s)
	b := newBrowser(t)
	at := w.open(b, s)
	read := func(got page) (e ending) {
		t.Helper()
		if err := json.Unmarshal([]byte(got.body), &e); got.status != http.StatusOK || err != nil || e.ID != "gr-1" || e.State != staging.Assigned {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return e
	}
	uses := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.used["gr-1"]
	}
	e := read(b.get(at + ".greenroom/ending"))
	if !e.IdleSoon || !e.IdleEndsAt.Equal(s.AssignedAt.Add(time.Hour)) || !e.EndsAt.Equal(s.AssignedAt.Add(8*time.Hour)) || uses() != 0 {
		t.Errorf("%+v after %d uses", e, uses())
	}
	if e.EndsSoon || e.Extendable || !e.Until.IsZero() {
		t.Errorf("its limit is far, and cannot be extended: %+v", e)
	}
	s.Terms.TimeLimit, s.Terms.MaxExtension = staging.Duration(time.Hour), staging.Duration(30*time.Minute)
	w.put(s)
	if e = read(b.get(at + ".greenroom/ending")); !e.EndsSoon || !e.Extendable || !e.Until.Equal(s.AssignedAt.Add(90*time.Minute)) {
		t.Errorf("its limit is near, and can be extended: %+v", e)
	}
	// What another gateway noted is read again.
	s.KeepaliveAt = s.AssignedAt.Add(time.Minute)
	w.put(s)
	if e = read(b.get(at + ".greenroom/ending")); !e.IdleEndsAt.Equal(s.AssignedAt.Add(61 * time.Minute)) {
		t.Errorf("after a use elsewhere %+v", e)
	}
	w.takeAway("all")
	if e = read(b.send(http.MethodPost, at+".greenroom/used", nil, "Origin: "+w.server.URL)); e.IdleSoon || e.IdleEndsAt.Sub(e.Now) < 59*time.Minute || uses() != 1 {
		t.Errorf("after a use here %+v, %d uses", e, uses())
	}
	w.takeAway("")
	for name, got := range map[string]page{
		"without a cookie":   newBrowser(t).get(at + ".greenroom/ending"),
		"from another page":  b.send(http.MethodPost, at+".greenroom/used", nil, "Origin: https://elsewhere.example.org"),
		"a use that is read": b.get(at + ".greenroom/used"),
	} {
		if want := map[string]int{"without a cookie": 401, "from another page": 403, "a use that is read": 404}[name]; got.status != want {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}
