package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// sse is one server-sent event.
type sse struct {
	id, kind string
	data     staging.Event
}

// follow follows the events after an id ("" is from now on), and sends them to the channel,
// until the function that it returns is called.
func (d *devProcess) follow(t *testing.T, after, query string) (<-chan sse, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, "GET", d.Broker+"/v1/events"+query, http.NoBody)
	must(t, err)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, res.Header)
	}
	must(t, heldToContract(req, res, []byte("retry: 1\n\n")))
	events := make(chan sse, 1000)
	began := make(chan struct{})
	go func() {
		defer close(events)
		defer res.Body.Close()
		var e sse
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "retry":
				close(began)
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				if err := json.Unmarshal([]byte(value), &e.data); err != nil {
					t.Errorf("data %q: %v", value, err)
				}
			case "":
				if e.kind != "" {
					events <- e
				}
				e = sse{}
			}
		}
	}()
	select {
	case <-began:
	case <-time.After(time.Minute):
		t.Fatal("the stream of events does not begin")
	}
	return events, stop
}

// next reads events until one of a kind and of a session comes, and returns all that it read.
func next(t *testing.T, events <-chan sse, kind, session string) (all []sse) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("the stream ended before %s of %s came; it had %+v", kind, session, all)
			}
			all = append(all, e)
			if e.kind == kind && (session == "" || e.data.Session == session) {
				return all
			}
		case <-deadline:
			t.Fatalf("%s of %s did not come within a minute; there came %+v", kind, session, all)
		}
	}
}

// kinds returns the kinds of a session's events, in order.
func kinds(all []sse, session string) (names []string) {
	for _, e := range all {
		if e.data.Session == session {
			names = append(names, e.kind)
		}
	}
	return names
}

// TestEventsTellTheLifeOfASession from its staging to its end, each with an id. A client that
// was disconnected resumes where it was, and learns of events that are no longer there.
func TestEventsTellTheLifeOfASession(t *testing.T) {
	d := sharedDev(t)
	events, stop := d.follow(t, "", "")
	d.stage(t, quickImage("told"), 1)
	d.untilReady(t, "told", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("told", "east", "tess"), 201, &l)
	seen := next(t, events, "assigned", l.ID)
	stop()
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	d.untilEnded(t, l.ID)
	// After a disconnect the client resumes after its last event.
	events, stop = d.follow(t, seen[len(seen)-1].id, "")
	seen = append(seen, next(t, events, "ended", l.ID)...)
	stop()
	if got, want := kinds(seen, l.ID), []string{"pending", "starting", "ready", "claimed", "assigned", "ending", "ended"}; !slices.Equal(got, want) {
		// The scaler may observe in one pass that the allocation runs and is healthy.
		if !slices.Equal(got, slices.DeleteFunc(want, func(s string) bool { return s == "starting" })) {
			t.Errorf("the events of the session are %v", got)
		}
	}
	for i, e := range seen {
		if e.data.ID != e.id || string(e.data.Type) != e.kind || e.data.At.IsZero() || e.data.Session == l.ID && e.data.Pool != "told" {
			t.Errorf("event %+v", e)
		}
		if i > 0 && staging.CompareEventIDs(seen[i-1].id, e.id) >= 0 {
			t.Errorf("%s came after %s", e.id, seen[i-1].id)
		}
	}
	if e := seen[len(seen)-1]; e.data.Reason != "ended by request" {
		t.Errorf("the end says why: %+v", e)
	}

	// Only events of some types.
	events, stop = d.follow(t, seen[0].id, "?type=ready,ended")
	some := next(t, events, "ended", l.ID)
	stop()
	if got := kinds(some, l.ID); !slices.Equal(got, []string{"ready", "ended"}) {
		t.Errorf("of the types ready and ended came %v", got)
	}

	// From an event that Redis no longer holds.
	events, stop = d.follow(t, "1000-0", "")
	first := next(t, events, "gap", "")[0]
	if first.kind != "gap" || first.id != "" || !strings.Contains(first.data.Reason, "read the lists anew") {
		t.Errorf("after what is not kept came %+v", first)
	}
	next(t, events, "ended", l.ID)
	stop()
}

// TestConditionsThatChangeAreToldAsEvents: an image is disabled, and enabled again.
func TestConditionsThatChangeAreToldAsEvents(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("toggled")
	d.stage(t, image, 1)
	d.untilReady(t, "toggled", 1)
	events, _ := d.follow(t, "", "?type=conditions")
	off := false
	image.Enabled = &off
	d.ask(t, "PUT", "/v1/images/toggled", image, 200, nil)
	toggled := func(want ...staging.ConditionType) {
		t.Helper()
		for {
			e := next(t, events, "conditions", "")
			last := e[len(e)-1].data
			if last.Pool != "toggled" {
				continue
			}
			var got []staging.ConditionType
			for _, c := range last.Conditions {
				got = append(got, c.Type)
			}
			if slices.Equal(got, want) {
				return
			}
		}
	}
	toggled(staging.ImageDisabled)
	image.Enabled = nil
	d.ask(t, "PUT", "/v1/images/toggled", image, 200, nil)
	toggled()
	d.untilReady(t, "toggled", 1)
}

// TestASessionIsWatchedByTwoBrokers: an index of one is valid at the other. A wait ends when
// the session changes; without a change it returns the session as it is.
func TestASessionIsWatchedByTwoBrokers(t *testing.T) {
	c, d := startCluster(t, 1)
	startAgent(t, c, "scaler")
	other := startAgent(t, c, "broker")
	e := &devProcess{readyFile: readyFile{Broker: "http://" + other.Address, Consul: c.ConsulAddr, Nomad: c.NomadAddr, Redis: c.RedisAddr}}
	d.untilReady(t, "mock", 1)
	var list struct{ Items []launched }
	d.ask(t, "GET", "/v1/sessions?staging=mock&state=ready", nil, 200, &list)
	if len(list.Items) != 1 {
		t.Fatalf("ready are %+v", list.Items)
	}
	id := list.Items[0].ID
	index := func(r reply) string {
		t.Helper()
		i, err := strconv.ParseUint(r.header.Get("X-Greenroom-Index"), 10, 64)
		if err != nil || i == 0 {
			t.Fatalf("X-Greenroom-Index %q", r.header.Get("X-Greenroom-Index"))
		}
		return fmt.Sprint(i)
	}
	var s launched
	at := index(d.ask(t, "GET", "/v1/sessions/"+id, nil, 200, &s))
	if s.State != "ready" {
		t.Fatalf("the session is %s", s.State)
	}
	// Without a change a wait ends at its timeout, at both brokers.
	for _, b := range []*devProcess{d, e} {
		at = index(b.ask(t, "GET", "/v1/sessions/"+id+"?wait=100ms&index="+at, nil, 200, &s))
		if s.State != "ready" {
			t.Fatalf("the session is %s", s.State)
		}
	}
	// The convention of blocking queries: wait again with the returned index until the session
	// is as desired.
	watch := func(b *devProcess, state string, done chan<- error) {
		at := at
		for {
			r, err := b.call("GET", "/v1/sessions/"+id+"?wait=5m&index="+at, "")
			if err == nil && r.status != 200 {
				err = fmt.Errorf("%d %s", r.status, r.body)
			}
			var s launched
			if err == nil {
				err = json.Unmarshal(r.body, &s)
			}
			if err != nil || s.State == state {
				done <- err
				return
			}
			at = r.header.Get("X-Greenroom-Index")
		}
	}
	done := make(chan error, 20)
	for range 10 {
		go watch(d, "ended", done)
		go watch(e, "ended", done)
	}
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "wanda"), 201, &l)
	if l.ID != id {
		t.Fatalf("launched %s, want %s", l.ID, id)
	}
	d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil)
	for range 20 {
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(2 * time.Minute):
			t.Fatal("who waits for the session's end has not heard of it for two minutes")
		}
	}
	// With any number of waiting clients, each broker reads the events on one connection.
	for range 5 {
		d.follow(t, "", "")
		go func() { _, _ = d.call("GET", "/v1/sessions/"+id+"?wait=1s&index="+at, "") }()
	}
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	defer rdb.Close()
	until(t, "only the scaler and the brokers' readers wait on Redis", func() (bool, string) {
		clients, err := rdb.ClientList(t.Context()).Result()
		must(t, err)
		n := 0
		for line := range strings.Lines(clients) {
			// Blocked in XREAD now, not an idle connection whose last command was XREAD.
			if strings.Contains(line, " flags=b") && strings.Contains(line, "cmd=xread") {
				n++
			}
		}
		return n > 0 && n <= 3, fmt.Sprintf("%d connections wait for events", n)
	})
}
