package main

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

// op is one launch of a caller that was answered with an assigned session.
type op struct {
	user, key, session, origin string
	called, returned           time.Time
}

// history is what all callers saw.
type history struct {
	mu       sync.Mutex
	ops      []op
	launches int
	given    int // launches that were given up
	lost     int // launches whose session ended before it could be used
}

func (h *history) add(o op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// caller is one user's client: it launches, repeats what was not answered with
// the same key at whatever broker, and ends most of what it got.
type caller struct {
	arena   *arena
	history *history
	name    string
	rng     *rand.Rand
}

// Of a caller's patience.
const (
	askTimeout     = 25 * time.Second
	launchPatience = 90 * time.Second
)

func (c *caller) run(deadline time.Time) {
	for n := 0; time.Now().Before(deadline); n++ {
		user := fmt.Sprintf("%s-%d", c.name, n)
		c.history.mu.Lock()
		c.history.launches++
		c.history.mu.Unlock()
		if session := c.launch(user, "key-"+user); session != "" {
			if c.rng.IntN(3) == 0 {
				c.launch(user, "key-"+user) // a repeat gets the same
			}
			c.use(session)
		}
		c.rest(3*time.Second, 8*time.Second)
	}
}

func (c *caller) rest(least, most time.Duration) {
	<-time.After(least + time.Duration(c.rng.Int64N(int64(most-least))))
}

// launch tries until it is answered, and gives the session.
func (c *caller) launch(user, key string) string {
	body := asText(launchWith("torture", "east", user, map[string]any{"groups": []string{"torture"}}))
	called := time.Now()
	for patience := called.Add(launchPatience); time.Now().Before(patience); {
		status, reply := c.call("POST", "/v1/sessions?wait=15s", body, key)
		var l launched
		switch {
		case status == http.StatusCreated && json.Unmarshal(reply, &l) == nil:
			c.history.add(op{user: user, key: key, session: l.ID, origin: l.Origin, called: called, returned: time.Now()})
			return l.ID
		case status == http.StatusUnprocessableEntity:
			// The key's session has ended: by a fault, or by its time limit.
			c.history.mu.Lock()
			c.history.lost++
			c.history.mu.Unlock()
			return ""
		}
		c.rest(200*time.Millisecond, time.Second)
	}
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.given++
	return ""
}

// use keeps a session alive for a while, and ends it or leaves it.
func (c *caller) use(session string) {
	for range c.rng.IntN(3) {
		c.call("POST", "/v1/sessions/"+session+"/keepalive", "", "")
		c.rest(500*time.Millisecond, 2*time.Second)
	}
	if c.rng.IntN(10) < 8 {
		c.call("DELETE", "/v1/sessions/"+session, "", "")
	}
}

// call asks any broker, and gives 0 when it did not answer.
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
