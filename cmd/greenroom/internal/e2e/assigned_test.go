package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// inGroup launches for a user of a group.
func inGroup(t *testing.T, d *devProcess, image, zone, user, group string) launched {
	t.Helper()
	var l launched
	d.ask(t, "POST", "/v1/sessions", launchWith(image, zone, user, map[string]any{"groups": []string{group}}), 201, &l)
	return l
}

// TestASessionWithoutKeepaliveEnds, and one that is kept alive does not, both staged and on
// demand.
func TestASessionWithoutKeepaliveEnds(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("alive"), 1)
	d.untilReady(t, "alive", 1)
	d.group(t, staging.Group{Name: "attentive", KeepaliveExpiration: staging.Duration(4 * time.Second)})
	for _, zone := range []string{"east", "west"} {
		l := inGroup(t, d, "alive", zone, "olga", "attentive")
		// A client sends keepalives for longer than the session lives without them.
		pace := time.NewTicker(500 * time.Millisecond)
		for range 14 {
			<-pace.C
			d.ask(t, "POST", "/v1/sessions/"+l.ID+"/keepalive", nil, 200, nil)
		}
		pace.Stop()
		if s := d.session(t, l.ID); s.State != "assigned" {
			t.Fatalf("%s: it is %s though it was kept alive: %s", l.Origin, s.State, s.Reason)
		}
		if reason := d.untilEnded(t, l.ID); !strings.Contains(reason, "no keepalive came for 4s") {
			t.Errorf("%s: it ended with %q", l.Origin, reason)
		}
		d.ask(t, "POST", "/v1/sessions/"+l.ID+"/keepalive", nil, 409, nil)
		until(t, "its job is gone from Nomad", func() (bool, string) {
			jobs := d.jobs(t, "alive")
			return !slices.ContainsFunc(jobs, func(j job) bool { return j.id == l.ID }), fmt.Sprint(jobs)
		})
	}
}

// TestASessionEndsAtItsTimeLimitWhateverComes: the shorter limit of group and image counts.
func TestASessionEndsAtItsTimeLimitWhateverComes(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("timed")
	image.SessionTimeLimit = staging.Duration(3 * time.Second)
	d.stage(t, image, 1)
	d.untilReady(t, "timed", 1)
	d.group(t, staging.Group{Name: "patient", SessionTimeLimit: staging.Duration(time.Hour)})
	l := inGroup(t, d, "timed", "east", "pia", "patient")
	var reason string
	until(t, "it ends though keepalives come", func() (bool, string) {
		_, _ = d.call("POST", "/v1/sessions/"+l.ID+"/keepalive", "")
		s := d.session(t, l.ID)
		reason = s.Reason
		return s.State == "ended", s.State
	})
	if !strings.Contains(reason, "time limit of 3s") {
		t.Errorf("it ended with %q", reason)
	}
}

// TestAnAllocationThatDiesEndsItsSessionWithNomadsReason.
func TestAnAllocationThatDiesEndsItsSessionWithNomadsReason(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("mortal"), 1)
	d.untilReady(t, "mortal", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("mortal", "east", "quin"), 201, &l)
	n := d.nomad(t)
	allocs, _, err := n.Jobs().Allocations(l.ID, true, nil)
	must(t, err)
	alloc, _, err := n.Allocations().Info(allocs[0].ID, nil)
	must(t, err)
	must(t, n.Allocations().Signal(alloc, nil, "session", "SIGKILL"))
	if reason := d.untilEnded(t, l.ID); !strings.Contains(reason, "signal 9") && !strings.Contains(reason, "137") {
		t.Errorf("it ended with %q", reason)
	}
}

// TestACloneIsNeverTheUsersSession: Nomad replaces an allocation that was stopped
// under a session; the session ends, and the clone with it.
func TestACloneIsNeverTheUsersSession(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("cloned"), 1)
	d.untilReady(t, "cloned", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("cloned", "east", "rosa"), 201, &l)
	n := d.nomad(t)
	allocs, _, err := n.Jobs().Allocations(l.ID, true, nil)
	must(t, err)
	alloc, _, err := n.Allocations().Info(allocs[0].ID, nil)
	must(t, err)
	_, err = n.Allocations().Stop(alloc, nil)
	must(t, err)
	d.untilEnded(t, l.ID)
	until(t, "no allocation of its job runs", func() (bool, string) {
		all, _, err := n.Jobs().Allocations(l.ID, true, nil)
		if err != nil {
			return true, "" // purged
		}
		running := slices.DeleteFunc(all, func(a *nomadapi.AllocationListStub) bool {
			return a.ClientStatus != "running" && a.ClientStatus != "pending"
		})
		return len(running) == 0, fmt.Sprint(len(running), " of ", len(all))
	})
	if s := d.session(t, l.ID); s.Address != l.Address || s.Ports["http"] != l.Ports["http"] || s.State != "ended" {
		t.Errorf("the session took over its clone: %+v, was %+v", s, l)
	}
}
