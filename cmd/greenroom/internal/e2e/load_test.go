package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestPastTheBoundLaunchesAreRefusedAtOnce: of a burst on an empty pool, the broker serves as
// many as it may create at the same time, and after them those that may wait for their turn. It
// refuses the others at once, with Retry-After, and leaves nothing of them.
func TestPastTheBoundLaunchesAreRefusedAtOnce(t *testing.T) {
	const atOnce, queue, callers = 3, 4, 20
	const bound = atOnce + queue
	_, d := startCluster(t, 0, "--max-on-demand", fmt.Sprint(atOnce), "--max-on-demand-queue", fmt.Sprint(queue))
	image := quickImage("crowd")
	image.Variables["warmup"] = "2s"
	d.store(t, image)
	var mu sync.Mutex
	statuses := map[int]int{}
	var served []string
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			began := time.Now()
			r, err := d.call("POST", "/v1/sessions", jsonText(launch("crowd", "east", fmt.Sprint("c", i))))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
			var l launched
			var p struct{ Code string }
			switch {
			case r.status == 201 && json.Unmarshal(r.body, &l) == nil:
				served = append(served, l.ID)
			case json.Unmarshal(r.body, &p) != nil || p.Code != "overloaded" || r.header.Get("Retry-After") == "":
				t.Errorf("%d after %s, Retry-After %q: %s", r.status, time.Since(began), r.header.Get("Retry-After"), r.body)
			}
		})
	}
	wg.Wait()
	if statuses[201] != bound || statuses[503] != callers-bound {
		t.Errorf("answers by status: %v; want %d served and the others refused", statuses, bound)
	}
	var jobs []string
	for _, j := range d.jobs(t, "crowd") {
		jobs = append(jobs, j.id)
	}
	slices.Sort(served)
	if !slices.Equal(jobs, served) {
		t.Errorf("Nomad runs %v; served were %v", jobs, served)
	}
}

// TestIdleAndSlowClientsDoNotStopOthers, nor do clients that send too much. A client that
// hung up finds its launch when it repeats it.
func TestIdleAndSlowClientsDoNotStopOthers(t *testing.T) {
	_, d := startCluster(t, 0, "--max-launches", "4")
	d.store(t, quickImage("busy"))
	address := strings.TrimPrefix(d.Broker, "http://")
	open := func(send string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", address)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		_, err = c.Write([]byte(send))
		must(t, err)
		return c
	}
	for range 2000 {
		open("")
	}
	for range 100 {
		open("GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		open("POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n{\"image\":")
	}
	large := `{"image":"busy","zone":"east","user":{"id":"u","name":"` + strings.Repeat("x", 2<<20) + `"}}`
	r, err := d.call("POST", "/v1/sessions", large)
	must(t, err)
	if r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 2 MiB: %d", r.status)
	}

	// It hangs up as soon as its session is being created.
	body := jsonText(launch("busy", "east", "hasty"))
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", d.Broker+"/v1/sessions", strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "hasty")
	gone := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		gone <- err
	}()
	until(t, "its session is being made", func() (bool, string) { return len(d.jobs(t, "busy")) == 1, "" })
	hangUp()
	if err := <-gone; err == nil {
		t.Error("it was answered before it could hang up")
	}
	var l launched
	until(t, "a repeat is answered", func() (bool, string) {
		r, err := d.call("POST", "/v1/sessions", body, "Idempotency-Key", "hasty")
		must(t, err)
		return r.status == 201 && json.Unmarshal(r.body, &l) == nil, string(r.body)
	})
	if jobs := d.jobs(t, "busy"); len(jobs) != 1 || jobs[0].id != l.ID || l.Origin != string(staging.OnDemand) {
		t.Errorf("Nomad runs %v, the repeat got %s (%s)", jobs, l.ID, l.Origin)
	}
	if got := record(t, l); len(got) != 1 || got[0].UserName != "hasty" {
		t.Errorf("the session's own record: %+v", got)
	}
}
