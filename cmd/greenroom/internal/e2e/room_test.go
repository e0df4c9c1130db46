package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// sized returns an image whose sessions reserve so much memory, in MB.
func sized(name string, memory int) staging.Image {
	image := quickImage(name)
	image.Variables["memory"] = fmt.Sprint(memory)
	return image
}

// waitingLaunch launches with a wait for room, and returns the answer of a session that waits.
func (d *devProcess) waitingLaunch(t *testing.T, image, user, room string, headers ...string) launched {
	t.Helper()
	body := launch(image, "east", user)
	body["wait_for_room"] = room
	var l launched
	d.ask(t, "POST", "/v1/sessions?wait=1s", body, 202, &l, headers...)
	if l.State != "pending" || !strings.HasPrefix(l.Reason, staging.ReasonWaitingForRoom) || !strings.Contains(l.Reason, "memory") {
		t.Fatalf("a launch without room: %s, reason %q, attempts %+v", l.State, l.Reason, l.Attempts)
	}
	return l
}

// untilAssigned waits until a session is its user's.
func (d *devProcess) untilAssigned(t *testing.T, id string) {
	t.Helper()
	until(t, "session "+id+" is assigned", func() (bool, string) {
		s := d.session(t, id)
		return s.State == "assigned" && s.Reason == "", s.State + " " + s.Reason
	})
}

// blocked reports whether Nomad has a job queued until there is room.
func (d *devProcess) blocked(t *testing.T, session string) bool {
	t.Helper()
	evals, _, err := d.nomad(t).Jobs().Evaluations(session, nil)
	must(t, err)
	for _, e := range evals {
		if e.Status == "blocked" {
			return true
		}
	}
	return false
}

// TestALaunchWaitsForRoomInNomad, on a node that is full: its job is queued in Nomad, which an
// autoscaler of the cluster sees, and everybody is told what is missing. The first room that comes is
// its own, although smaller sessions of a pool would fit into a part of it. It outlives its
// broker, ends when its wait is over or somebody ends it, and leaves nothing.
func TestALaunchWaitsForRoomInNomad(t *testing.T) {
	c, d := startServersWith(t, devcluster.Options{Datacenters: []string{"dc1"}, MemoryMB: 1000})
	scaler := startAgent(t, c, "scaler")
	second := at(d, startAgent(t, c, "broker"))
	d.store(t, sized("big", 600))
	d.store(t, sized("part", 200))
	parts := make([]launched, 3)
	for i := range parts {
		d.ask(t, "POST", "/v1/sessions", launch("part", "east", fmt.Sprint("holder", i)), 201, &parts[i])
	}
	var holder launched
	// Two of five have room.
	d.stage(t, sized("small", 180), 5)
	d.untilReady(t, "small", 2)
	d.untilCondition(t, "small", staging.CapacityExhausted, "memory")

	t.Run("the first room is the launch's", func(t *testing.T) {
		l := d.waitingLaunch(t, "big", "waiter", "5m", "Idempotency-Key", "waiter")
		if last := l.Attempts[len(l.Attempts)-1]; last.Outcome != "starting" || !strings.Contains(last.Reason, "waits for room until") {
			t.Errorf("the attempts do not say that it waits: %+v", l.Attempts)
		}
		until(t, "Redis, Nomad and the metrics show what it waits for", func() (bool, string) {
			s := d.session(t, l.ID)
			waiting := metric(t, "http://"+scaler.Address, `greenroom_launches_waiting_for_room{zone="east"}`)
			return strings.HasPrefix(s.Reason, staging.ReasonWaitingForRoom) && d.blocked(t, l.ID) && waiting == 1 && len(d.noted(t, staging.EventWaitingForRoom)) > 0,
				fmt.Sprint(s.State, s.Reason, d.blocked(t, l.ID), waiting)
		})
		// A repeat is answered with the session that waits.
		body := launch("big", "east", "waiter")
		body["wait_for_room"] = "5m"
		var again launched
		d.ask(t, "POST", "/v1/sessions?wait=0s", body, 202, &again, "Idempotency-Key", "waiter")
		if again.ID != l.ID {
			t.Errorf("a repeat got %s, want %s", again.ID, l.ID)
		}
		// Room comes bit by bit; into each a session of the pool would fit.
		for _, part := range parts {
			d.ask(t, "DELETE", "/v1/sessions/"+part.ID, nil, 204, nil)
			d.untilEnded(t, part.ID)
			if staged := d.jobs(t, "small"); len(staged) != 2 {
				t.Errorf("while the launch waits the pool has %d sessions in Nomad, want the 2 that were there", len(staged))
			}
		}
		d.untilAssigned(t, l.ID)
		holder = l
		d.ask(t, "POST", "/v1/sessions", body, 201, &again, "Idempotency-Key", "waiter")
		if again.ID != l.ID || again.State != "assigned" {
			t.Errorf("a repeat got %s, %s", again.ID, again.State)
		}
		// Now the pool has its probe in Nomad's queue again.
		d.untilCondition(t, "small", staging.CapacityExhausted, "memory")
	})

	t.Run("the caller that waits is answered", func(t *testing.T) {
		body := launch("big", "east", "patient")
		body["wait_for_room"] = "5m"
		answered := make(chan reply, 1)
		go func() {
			r, err := d.call("POST", "/v1/sessions?wait=5m", jsonText(body))
			if err != nil {
				t.Error(err)
			}
			answered <- r
		}()
		waiting := onlyPending(t, d, "patient")
		d.ask(t, "DELETE", "/v1/sessions/"+holder.ID, nil, 204, nil)
		r := <-answered
		var l launched
		must(t, json.Unmarshal(r.body, &l))
		if r.status != 201 || l.ID != waiting || l.State != "assigned" || len(record(t, l)) != 0 && l.Token == "" {
			t.Errorf("%d %s", r.status, r.body)
		}
		holder = l
	})

	t.Run("its wait is over", func(t *testing.T) {
		body := launch("big", "east", "late")
		body["wait_for_room"] = "3s"
		var p problemAnswer
		d.ask(t, "POST", "/v1/sessions", body, 503, &p)
		if p.Code != "no_capacity" || !strings.Contains(p.Detail, staging.ReasonNoRoomCame+"3s: not enough memory") {
			t.Errorf("%+v", p)
		}
		d.onlyJobOf(t, "big", holder.ID)
	})

	t.Run("it is ended", func(t *testing.T) {
		body := launch("big", "east", "gone")
		body["wait_for_room"] = "5m"
		answered := make(chan reply, 1)
		go func() {
			r, err := d.call("POST", "/v1/sessions?wait=5m", jsonText(body))
			if err != nil {
				t.Error(err)
			}
			answered <- r
		}()
		id := onlyPending(t, d, "gone")
		d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil)
		if r := <-answered; r.status != 503 || !strings.Contains(string(r.body), "launch_failed") {
			t.Errorf("%d %s", r.status, r.body)
		}
		d.onlyJobOf(t, "big", holder.ID)
	})

	t.Run("its broker dies", func(t *testing.T) {
		l := d.waitingLaunch(t, "big", "orphan", "5m", "Idempotency-Key", "orphan")
		short := d.waitingLaunch(t, "big", "lost", "20s")
		d.agent.End(t, syscall.SIGKILL)
		if reason := second.untilEnded(t, short.ID); !strings.HasPrefix(reason, staging.ReasonNoRoomCame+"20s") {
			t.Errorf("the session whose wait is over ended because: %s", reason)
		}
		second.ask(t, "DELETE", "/v1/sessions/"+holder.ID, nil, 204, nil)
		second.untilAssigned(t, l.ID)
		d.readyFile = second.readyFile // for the cleanup
	})
}

// problemAnswer is a problem document.
type problemAnswer struct {
	Code, Detail string
	Attempts     []struct{ Step, Zone, Outcome, Reason string }
}

// onlyPending waits until a user has one session, which waits for room, and returns its id.
func onlyPending(t *testing.T, d *devProcess, user string) (id string) {
	t.Helper()
	until(t, user+" has a session that waits for room", func() (bool, string) {
		var list struct{ Items []launched }
		d.ask(t, "GET", "/v1/sessions?user=u-"+user, nil, 200, &list)
		if len(list.Items) != 1 || !strings.HasPrefix(list.Items[0].Reason, staging.ReasonWaitingForRoom) {
			return false, fmt.Sprintf("%+v", list.Items)
		}
		id = list.Items[0].ID
		return true, ""
	})
	return id
}

// onlyJobOf waits until a session's job is the only one of its image.
func (d *devProcess) onlyJobOf(t *testing.T, image, session string) {
	t.Helper()
	until(t, "only the job of "+session+" is left of "+image, func() (bool, string) {
		jobs := d.jobs(t, image)
		return len(jobs) == 1 && jobs[0].id == session, fmt.Sprint(jobs)
	})
}

// TestSessionsOfLowerPriorityMakeRoom on a node that is full: the unassigned ones of a pool of lower
// priority, as few as suffice, for a launch whose pool has a higher one. Nobody's session
// ends, nor any of the pool of the same priority, and the pool is not refilled into the room before the
// launch has it.
func TestSessionsOfLowerPriorityMakeRoom(t *testing.T) {
	c, d := startServersWith(t, devcluster.Options{Datacenters: []string{"dc1"}, MemoryMB: 1000})
	startAgent(t, c, "scaler")
	d.stage(t, sized("idle", 100), 5, func(c *staging.Config) { c.Priority = 10 })
	d.stage(t, sized("dear", 100), 3)
	d.untilReady(t, "idle", 5)
	d.untilReady(t, "dear", 3)
	var users [2]launched
	for i := range users {
		d.ask(t, "POST", "/v1/sessions", launch("idle", "east", fmt.Sprint("user", i)), 201, &users[i])
	}
	d.untilReady(t, "idle", 5) // the node is full: 5 idle, 3 dear, 2 of users
	before := d.passing(t, "dear")
	d.store(t, sized("wide", 200))

	// Nothing says that it may wait for room: the pool of lower priority is reason enough.
	var l launched
	d.ask(t, "POST", "/v1/sessions?wait=2m", launch("wide", "east", "wide"), 201, &l)
	if l.State != "assigned" || l.Origin != "on_demand" {
		t.Errorf("%+v", l)
	}
	var made []string
	for _, e := range d.noted(t, staging.EventRetiring) {
		if reason := fmt.Sprint(e["reason"]); strings.HasPrefix(reason, "made room for a launch of image wide: not enough memory") && e["pool"] == "idle" {
			made = append(made, fmt.Sprint(e["session"]))
		} else {
			t.Errorf("a session was retired: %v", e)
		}
	}
	if len(made) != 2 {
		t.Errorf("%v made room, want 2 of pool idle", made)
	}
	for _, u := range users {
		if s := d.session(t, u.ID); s.State != "assigned" {
			t.Errorf("the session of %s is %s: %s", u.User.ID, s.State, s.Reason)
		}
		if slices.Contains(made, u.ID) {
			t.Errorf("the session of %s made room", u.User.ID)
		}
	}
	if after := d.passing(t, "dear"); !slices.Equal(before, after) {
		t.Errorf("the pool of the same priority had %v, and has %v", before, after)
	}
	d.untilReady(t, "idle", 3)
	d.untilCondition(t, "idle", staging.CapacityExhausted, "memory")

	// A launch of lower priority than all makes none, and is refused at once.
	d.ask(t, "PUT", "/v1/staging/last", staging.Config{Zone: "east", Image: "wide", Priority: 5}, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/staging/last", nil, 204, nil) })
	var p problemAnswer
	d.ask(t, "POST", "/v1/sessions", launch("wide", "east", "last"), 503, &p)
	if p.Code != "no_capacity" {
		t.Errorf("%+v", p)
	}

	// What would not fit on the whole node has no more than so many make room for it.
	d.store(t, sized("endless", 5000))
	body := launch("endless", "east", "endless")
	body["wait_for_room"] = "20s"
	d.ask(t, "POST", "/v1/sessions?wait=2m", body, 503, &p)
	if !strings.Contains(p.Detail, staging.ReasonNoRoomCame) {
		t.Errorf("%+v", p)
	}
	most := 0
	for _, e := range d.noted(t, staging.EventRetiring) {
		if strings.HasPrefix(fmt.Sprint(e["reason"]), "made room for a launch of image endless") {
			most++
		}
	}
	if most > 8 {
		t.Errorf("%d sessions made room for one launch", most)
	}
	for _, u := range users {
		if s := d.session(t, u.ID); s.State != "assigned" {
			t.Errorf("the session of %s is %s: %s", u.User.ID, s.State, s.Reason)
		}
	}
	d.untilReady(t, "dear", 3)
}

// TestSixtyLaunchesAtOnceAreServed: more than a broker makes at once, with room for all. The others
// wait for their turn.
func TestSixtyLaunchesAtOnceAreServed(t *testing.T) {
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	const callers = 60
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range callers {
		wg.Go(func() {
			r, err := d.call("POST", "/v1/sessions?wait=5m", jsonText(launch("mock", "east", fmt.Sprint("c", i))))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if statuses[r.status]++; r.status != 201 {
				t.Errorf("%d: %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	if jobs := d.jobs(t, "mock"); statuses[201] != callers || len(jobs) != callers {
		t.Errorf("answers by status %v, %d jobs; want %d served", statuses, len(jobs), callers)
	}
	if waited := metric(t, d.Broker, `greenroom_on_demand_queue_seconds_count{outcome="turn"}`); waited == 0 {
		t.Error("no launch waited for its turn: fewer than 60 came at once, and the test shows nothing")
	}
}
