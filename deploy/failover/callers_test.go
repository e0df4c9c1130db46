package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
)

// ack is a launch that a broker acknowledged.
type ack struct{ key, user, session string }

// answer is what the tests read of a session.
type answer struct {
	ID    string
	State staging.State
}

// callers launch through both brokers, each for a user of its own and with a key of its own,
// and repeat what was not acknowledged by the other broker with the same key. A user may have one
// session: a try that was not given must not stand in the next one's way.
type callers struct {
	w    *world
	name string

	mu       sync.Mutex
	acks     []ack
	refusals map[string]int // by status and code
	wrong    []string       // what a caller must not be told

	stop chan struct{}
	wg   sync.WaitGroup
}

// startCallers starts callers until done.
func startCallers(w *world, name string, n int) *callers {
	c := &callers{w: w, name: name, refusals: map[string]int{}, stop: make(chan struct{})}
	for i := range n {
		c.wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-c.stop:
					return
				case <-time.After(50 * time.Millisecond): // a caller's pause, so that the pool is not drained
				}
				c.launch(i+k, fmt.Sprintf("%s-%d-%d", name, i, k))
			}
		})
	}
	return c
}

// launch launches for a user, whose name is the launch's key, too, until a broker acknowledges it
// or patience is over. It returns the answer.
func (c *callers) launch(first int, user string) (l answer) {
	const patience = 3 * time.Minute
	body := fmt.Sprintf(`{"image":"mock","zone":"east","groups":["one"],"user":{"id":%q,"name":%q}}`, user, user)
	began := time.Now()
	for try := first; ; try++ {
		r, err := c.w.api(try).Call("POST", "/v1/sessions", body, "Idempotency-Key", user)
		if err == nil && r.Status == http.StatusCreated {
			err = json.Unmarshal(r.Body, &l)
		}
		var refused struct{ Code string }
		_ = json.Unmarshal(r.Body, &refused) // an answer that is none is counted without a code
		why := fmt.Sprintf("%d %s", r.Status, refused.Code)
		given := time.Since(began) > patience
		c.mu.Lock()
		switch {
		case l.ID != "":
			c.acks = append(c.acks, ack{user, user, l.ID})
			c.mu.Unlock()
			return l
		case given:
			c.wrong = append(c.wrong, fmt.Sprintf("the launch %s got no session within %s", user, patience))
		case err != nil:
			c.wrong = append(c.wrong, fmt.Sprintf("the launch %s got no answer: %v", user, err))
		case r.Status != http.StatusServiceUnavailable && refused.Code != "idempotency_key_in_flight":
			c.wrong = append(c.wrong, fmt.Sprintf("the launch %s was answered %d: %s", user, r.Status, r.Body))
		case r.Header.Get("Retry-After") == "":
			c.wrong = append(c.wrong, fmt.Sprintf("the launch %s was answered %d without Retry-After: %s", user, r.Status, r.Body))
		}
		c.refusals[why]++
		c.mu.Unlock()
		if given {
			return l
		}
		time.Sleep(100 * time.Millisecond) // instead of Retry-After, which is in whole seconds
	}
}

// acknowledged returns the launches that were acknowledged so far.
func (c *callers) acknowledged() []ack {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acks[:len(c.acks):len(c.acks)]
}

// untilMore waits until more launches are acknowledged.
func (c *callers) untilMore(t *testing.T, n int) {
	t.Helper()
	have := len(c.acknowledged())
	agenttest.Until(t, fmt.Sprintf("%d more launches of the callers %s are acknowledged", n, c.name), func() (bool, string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.acks) >= have+n, fmt.Sprintf("%d before, %d now; refused %v", have, len(c.acks), c.refusals)
	})
}

// done stops the callers once each has got its session, and returns what was acknowledged.
func (c *callers) done(t *testing.T) []ack {
	t.Helper()
	close(c.stop)
	c.wg.Wait()
	t.Logf("callers %s: %d launches acknowledged; refused meanwhile: %v", c.name, len(c.acks), c.refusals)
	c.report(t)
	return c.acks
}

// report fails for what callers must not be told.
func (c *callers) report(t *testing.T) {
	t.Helper()
	for _, w := range c.wrong {
		t.Error(w)
	}
}

// check fails unless every acknowledged launch has its session, which is nobody else's, and a
// repeat with its key is answered with that. A session that was made for a launch and not given
// to its user must come to its end.
func (w *world) check(t *testing.T, acks []ack) {
	t.Helper()
	fates := map[string]staging.Fate{}
	for _, f := range w.fates(t) {
		fates[f.Session] = f
	}
	given, user := map[string]string{}, map[string]bool{}
	for _, a := range acks {
		user[a.user] = true
		if other, taken := given[a.session]; taken && other != a.user {
			t.Errorf("session %s was given to %s and to %s", a.session, other, a.user)
		}
		given[a.session] = a.user
		owner := "nobody's"
		if f, found := fates[a.session]; found {
			owner = f.User.ID
		}
		if owner != a.user {
			t.Errorf("launch %s was acknowledged with session %s, which is %s by its fate record", a.key, a.session, owner)
		}
	}
	w.repeat(t, acks)
	left := 0
	for id, f := range fates {
		if given[id] != "" || !user[f.User.ID] {
			continue
		}
		left++
		agenttest.Until(t, fmt.Sprintf("session %s, which %s was not given, is over, and nothing of it runs", id, f.User.ID), func() (bool, string) {
			r, err := w.api(left).Call("GET", "/v1/sessions/"+id, "")
			var s answer
			if err == nil && r.Status == http.StatusOK {
				err = json.Unmarshal(r.Body, &s)
			}
			var allocations []struct{ ClientStatus string }
			err = errors.Join(err, getJSON(t.Context(), w.nomad+"/v1/job/"+id+"/allocations", &allocations))
			saw := fmt.Sprintf("%d %s %v %v", r.Status, r.Body, allocations, err)
			for _, a := range allocations {
				if a.ClientStatus == "pending" || a.ClientStatus == "running" {
					return false, saw
				}
			}
			return err == nil && (s.State.Over() || r.Status == http.StatusNotFound), saw
		})
	}
	t.Logf("%d acknowledged launches have their session; %d sessions of launches that failed are over", len(acks), left)
}

// repeat repeats launches through both brokers: each must be answered with its session.
func (w *world) repeat(t *testing.T, acks []ack) {
	t.Helper()
	again := &callers{w: w, refusals: map[string]int{}}
	for i, a := range acks {
		if l := again.launch(i, a.user); l.ID != a.session || l.State.Over() {
			t.Errorf("launch %s was given session %s, and its repeat %s, which is %s", a.key, a.session, l.ID, l.State)
		}
	}
	again.report(t)
}
