package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestImmediateGivesNoOlderRevision: callers at two brokers launch without a pause while the image,
// the zone or the permissions are changed through one of them. No launch that is sent after the
// change was answered gets the older revision, at either broker, staged or on demand; nor does one
// while Redis is down.
func TestImmediateGivesNoOlderRevision(t *testing.T) {
	const ready, callers = 6, 3
	cluster, d := startCluster(t, 0)
	startAgent(t, cluster, "scaler")
	other := startAgent(t, cluster, "broker")
	brokers := []*devProcess{d, {agent: other, readyFile: readyFile{Broker: "http://" + other.Address, Consul: d.Consul, Nomad: d.Nomad, Redis: d.Redis}}}
	image := staging.Image{Name: "now", Jobspec: jobspecs.DemoMock}
	config := staging.Config{Name: "now", Zone: "east", Image: "now", DesiredSessions: ready, Update: staging.UpdateImmediate}
	d.ask(t, "PUT", "/v1/images/now", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/now", config, 201, nil)
	zone := staging.Zone{Name: "east", Datacenters: []string{"dc1"}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1"}
	revision := func() string { return staging.Revision(image, zone, config.Permissions) }
	var p struct{ Revision string }
	if d.ask(t, "GET", "/v1/staging/now", nil, 200, &p); p.Revision != revision() {
		t.Fatalf("the pool is of revision %s, and the test would go by %s", p.Revision, revision())
	}
	policy := 0
	changeImage := func() {
		policy++
		image.WebFilterPolicy = fmt.Sprint("policy ", policy)
		d.ask(t, "PUT", "/v1/images/now", image, 200, nil)
	}
	changeZone := func() {
		zone.AllowOriginDomain = "another.example.org"
		d.ask(t, "PUT", "/v1/zones/east", zone, 200, nil)
	}
	staged, early := 0, 0
	// round launches at both brokers without a pause, makes the change in the midst of it, and
	// checks every launch that was sent after that.
	round := func(name string, change func()) {
		t.Helper()
		old := revision()
		var changed atomic.Bool
		var mu sync.Mutex
		var begun, wg sync.WaitGroup
		var sent []string
		for n := range callers * len(brokers) {
			begun.Add(1)
			wg.Go(func() {
				b, first := brokers[n%len(brokers)], true
				body, err := json.Marshal(launch("now", "east", fmt.Sprint(name, "-", n)))
				if err != nil {
					t.Error(err)
				}
				for after := 0; after < 2; {
					late := changed.Load()
					r, err := b.call("POST", "/v1/sessions?wait=30s", string(body))
					if first {
						first = false
						begun.Done()
					}
					var l launched
					switch {
					case err != nil:
						t.Error(err)
						return
					case r.status == http.StatusServiceUnavailable:
					case r.status != http.StatusCreated || json.Unmarshal(r.body, &l) != nil:
						t.Errorf("%s: a launch: %d %s", name, r.status, r.body)
						return
					}
					mu.Lock()
					switch {
					case l.ID == "":
					case l.Revision == old && late:
						t.Errorf("%s: a launch that was sent after the change got %s of the older revision, %s, from %s", name, l.ID, l.Origin, b.Broker)
					case l.Revision == old:
						early++
					case l.Origin == "staged":
						staged++
					}
					if l.ID != "" {
						sent = append(sent, l.ID)
					}
					mu.Unlock()
					if late {
						after++
					}
				}
			})
		}
		begun.Wait()
		change()
		changed.Store(true)
		wg.Wait()
		if now := revision(); now == old {
			t.Errorf("%s: the revision was and is %q", name, old)
		}
		for _, id := range sent {
			_, _ = d.call("DELETE", "/v1/sessions/"+id, "")
		}
	}
	for name, change := range map[string]func(){
		"the image": changeImage, "the image again": changeImage, "the zone": changeZone,
	} {
		d.untilReady(t, "now", ready)
		round(name, change)
	}
	d.untilReady(t, "now", ready)
	must(t, cluster.Redis.Kill())
	round("without Redis", changeImage)
	t.Logf("before the changes %d launches got the older revision; after them %d got a staged session of the newer one", early, staged)
	if early == 0 {
		t.Error("no launch got the older revision before its change: nothing was raced")
	}
}

// TestOnReplenishKeepsOlderSessions: those of an older revision are given until there are none;
// what replaces them is of the newer one.
func TestOnReplenishKeepsOlderSessions(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("lazy")
	d.stage(t, image, 2, func(c *staging.Config) { c.Update = staging.UpdateOnReplenish })
	d.untilReady(t, "lazy", 2)
	before := d.jobIDs(t, "lazy")
	var p struct {
		Revision string
		Updated  *int `json:"updated_sessions"`
		Ready    int  `json:"ready_sessions"`
	}
	d.ask(t, "GET", "/v1/staging/lazy", nil, 200, &p)
	old := p.Revision
	image.Variables["version"] = "2"
	d.ask(t, "PUT", "/v1/images/lazy", image, 200, nil)
	d.witness(t, "lazy-witness")
	if now := d.jobIDs(t, "lazy"); !slices.Equal(now, before) {
		t.Fatalf("the sessions were replaced: %v, then %v", before, now)
	}
	for updated := 1; updated <= 2; updated++ {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("lazy", "east", "alice"), 201, &l)
		if l.Revision != old || l.Origin != "staged" {
			t.Errorf("launch %d got %+v, not one of revision %s", updated, l, old)
		}
		until(t, fmt.Sprint(updated, " of 2 are of the newer revision"), func() (bool, string) {
			d.ask(t, "GET", "/v1/staging/lazy", nil, 200, &p)
			return p.Ready == 2 && p.Updated != nil && *p.Updated == updated, jsonText(p)
		})
	}
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("lazy", "east", "alice"), 201, &l)
	if l.Revision != p.Revision || l.Revision == old || l.Origin != "staged" {
		t.Errorf("the third launch got %+v, not one of revision %s", l, p.Revision)
	}
}

// TestABrokerThatIsBehindGivesNoOlderRevision: a broker and the scaler are frozen while the image
// changes, so that the older sessions still wait, and the broker knows the older image when it
// goes on with the launches that were sent to it after the change was answered.
func TestABrokerThatIsBehindGivesNoOlderRevision(t *testing.T) {
	const ready, callers = 4, 4
	cluster, d := startCluster(t, 0)
	s, behind := startAgent(t, cluster, "scaler"), startAgent(t, cluster, "broker")
	image := staging.Image{Name: "now", Jobspec: jobspecs.DemoMock}
	d.ask(t, "PUT", "/v1/images/now", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/now", staging.Config{Zone: "east", Image: "now", DesiredSessions: ready, Update: staging.UpdateImmediate}, 201, nil)
	d.untilReady(t, "now", ready)
	var before, after struct{ Revision string }
	d.ask(t, "GET", "/v1/staging/now", nil, 200, &before)

	for _, a := range []*agent{s, behind} {
		a.Signal(t, syscall.SIGSTOP)
	}
	image.WebFilterPolicy = "another"
	d.ask(t, "PUT", "/v1/images/now", image, 200, nil)
	d.ask(t, "GET", "/v1/staging/now", nil, 200, &after)
	if before.Revision == after.Revision {
		t.Fatal("the change made no other revision")
	}
	// The requests wait in the frozen broker's sockets.
	var sent []net.Conn
	for n := range callers {
		conn, err := net.Dial("tcp", behind.Address)
		must(t, err)
		defer conn.Close()
		body := jsonText(launch("now", "east", fmt.Sprint("late-", n)))
		_, err = fmt.Fprintf(conn, "POST /v1/sessions?wait=30s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		must(t, err)
		sent = append(sent, conn)
	}
	behind.Signal(t, syscall.SIGCONT)
	for _, conn := range sent {
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		var l launched
		if r.StatusCode != http.StatusCreated || json.NewDecoder(r.Body).Decode(&l) != nil || l.Revision != after.Revision {
			t.Errorf("a launch that was sent after the change: %d, session %q of revision %q, want %q: %+v", r.StatusCode, l.ID, l.Revision, after.Revision, l.Attempts)
		}
		_ = r.Body.Close()
	}
	s.Signal(t, syscall.SIGCONT)
	d.untilReady(t, "now", ready)
}
