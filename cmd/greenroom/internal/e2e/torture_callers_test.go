package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// op is a launch that was answered with an assigned session.
type op struct {
	image, user, key, session, origin string
	called, returned                  time.Time
}

// history is what all callers observed.
type history struct {
	mu       sync.Mutex
	ops      []op
	launches int
	problems []string
	// kept is when the last keepalive of each session that was answered was sent, asked
	// when its user first asked for its end.
	kept, asked map[string]time.Time
	given       int // launches that were given up
	lost        int // launches whose session ended before it could be used
}

func (h *history) problem(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.problems = append(h.problems, fmt.Sprintf(format, args...))
}

func (h *history) add(o op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// keep notes an answered keepalive.
func (h *history) keep(session string, sent time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept[session] = sent
}

// ask notes that a session's user is about to ask for its end.
func (h *history) ask(session string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked[session].IsZero() {
		h.asked[session] = time.Now()
	}
}

// caller is a user's client: it launches, repeats a launch without an answer with the same
// key at any broker, and ends most of its sessions.
type caller struct {
	arena   *arena
	history *history
	name    string
	rng     *rand.Rand
}

// How long a caller waits.
const (
	askTimeout     = 25 * time.Second
	launchPatience = 90 * time.Second
)

func (c *caller) run(deadline time.Time) {
	for n := 0; time.Now().Before(deadline); n++ {
		c.arena.awaitRest()
		user := fmt.Sprintf("%s-%d", c.name, n)
		c.history.mu.Lock()
		c.history.launches++
		c.history.mu.Unlock()
		image := []string{"torture", "bare"}[c.rng.IntN(2)]
		if l, took := c.launch(image, user, "key-"+user); l.ID != "" {
			c.visit(l, took)
			if c.rng.IntN(3) == 0 {
				c.launch(image, user, "key-"+user) // a repeat gets the same
			}
			c.use(l.ID, took)
		}
		c.rest(3*time.Second, 8*time.Second)
	}
}

func (c *caller) rest(least, most time.Duration) {
	<-time.After(least + time.Duration(c.rng.Int64N(int64(most-least))))
}

// launch retries until it is answered, and returns the session and how long that took.
func (c *caller) launch(image, user, key string) (given launched, took time.Duration) {
	body := jsonText(launchWith(image, "east", user, map[string]any{"groups": []string{"torture"}}))
	called := time.Now()
	for patience := called.Add(launchPatience); time.Now().Before(patience); {
		status, reply := c.call("POST", "/v1/sessions?wait=15s", body, key)
		var l launched
		switch {
		case status == http.StatusCreated && json.Unmarshal(reply, &l) == nil:
			c.history.add(op{image: image, user: user, key: key, session: l.ID, origin: l.Origin, called: called, returned: time.Now()})
			return l, time.Since(called)
		case status == http.StatusUnprocessableEntity:
			// The session of the key has ended, by a fault or by its time limit.
			c.history.mu.Lock()
			c.history.lost++
			c.history.mu.Unlock()
			return launched{}, 0
		}
		c.rest(200*time.Millisecond, time.Second)
	}
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.given++
	return launched{}, 0
}

// promptly bounds the launches whose sessions are checked against every promise: after a
// slower one, the session's own limits may already have ended it.
const promptly = 10 * time.Second

// visit checks that the session is where the launch's answer has it.
func (c *caller) visit(l launched, took time.Duration) {
	if took > promptly {
		return
	}
	var err error
	// The nemesis restarts sessions, too.
	for patience := time.Now().Add(20 * time.Second); time.Now().Before(patience); {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, "GET", l.page()+"/version", nil); err == nil {
			var res *http.Response
			if res, err = http.DefaultClient.Do(req); err == nil {
				res.Body.Close()
				cancel()
				return
			}
		}
		cancel()
		c.rest(100*time.Millisecond, 300*time.Millisecond)
	}
	c.history.problem("nothing answers where session %s of %s should be, by its launch: %v", l.ID, l.User.Name, err)
}

// use keeps a session alive for a while, and ends it or leaves it.
func (c *caller) use(session string, took time.Duration) {
	for range c.rng.IntN(3) {
		c.keepalive(session, took)
		c.rest(500*time.Millisecond, 2*time.Second)
	}
	if c.rng.IntN(10) < 8 {
		c.history.ask(session)
		c.call("DELETE", "/v1/sessions/"+session, "", "")
	}
}

// keepalive must find the session, at the latest once a scaler has repaired a Redis that was
// wiped or rolled back.
func (c *caller) keepalive(session string, took time.Duration) {
	// A repair follows the takeover of a scaler's lock: 35 s were seen on a busy machine.
	for patience := time.Now().Add(2 * time.Minute); ; {
		sent := time.Now()
		status, reply := c.call("POST", "/v1/sessions/"+session+"/keepalive", "", "")
		switch {
		case status == http.StatusOK:
			c.history.keep(session, sent)
			return
		case took > promptly, quarantined(reply):
			return
		case time.Now().After(patience) && (status == http.StatusConflict || status == http.StatusNotFound):
			c.history.problem("session %s was ended under its user: %s", session, reply)
			return
		case time.Now().After(patience):
			return // a server is away
		}
		c.rest(200*time.Millisecond, 500*time.Millisecond)
	}
}

// call sends a request to any broker, and returns status 0 if it did not answer.
func (c *caller) call(method, path, body, key string) (status int, reply []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	b := c.arena.brokers[c.rng.IntN(len(c.arena.brokers))]
	req, err := http.NewRequestWithContext(ctx, method, "http://"+b.address+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	reply, err = io.ReadAll(res.Body)
	if err != nil {
		return 0, nil
	}
	return res.StatusCode, reply
}
