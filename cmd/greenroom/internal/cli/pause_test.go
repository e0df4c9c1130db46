package cli_test

import (
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestPauseAndResumeCommands: a name is that of a pool or of a zone, whichever there is, and no
// name is all pools.
func TestPauseAndResumeCommands(t *testing.T) {
	c := clitest.New(t, "")
	b := c.Broker
	b.ConfigByName["demo-east"] = staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3}
	b.ConfigByName["both"] = staging.Config{Name: "both", Zone: "east", Image: "demo"}
	b.ZoneByName["east"], b.ZoneByName["both"] = staging.Zone{Name: "east"}, staging.Zone{Name: "both"}
	c.Want(exit.OK, []string{"pause", "demo-east", "--reason", "works on the rack"}, "staging config demo-east: paused")
	c.Want(exit.OK, []string{"pause", "east"}, "zone east: paused", "until greenroom resume east")
	c.Want(exit.OK, []string{"pause"}, "all pools: paused")
	c.Want(exit.Usage, []string{"pause", "both"}, "--zone or --staging")
	c.Want(exit.OK, []string{"pause", "both", "--zone"}, "zone both: paused")
	c.Want(exit.OK, []string{"pause", "--list"}, "PAUSED", "staging config demo-east", "works on the rack", "zone both", "all pools", "token:tk-1")
	c.Want(exit.OK, []string{"pause", "--list", "-o", "json"}, `"staging": "demo-east"`)
	c.Want(exit.Invalid, []string{"pause", "nowhere"}, `there is no staging config "nowhere"`)
	c.Want(exit.OK, []string{"staging", "recycle", "demo-east"}, "are replaced once it is resumed: all pools paused by token:tk-1")
	c.Want(exit.OK, []string{"staging", "retry", "demo-east"}, "is tried again once it is resumed: all pools paused")
	c.Want(exit.OK, []string{"resume"}, "all pools: resumed; still paused: zone east")
	c.Want(exit.OK, []string{"resume", "demo-east"}, "staging config demo-east: resumed; still paused: zone east")
	delete(b.ZoneByName, "east")
	c.Want(exit.OK, []string{"resume", "east"}, "zone east: resumed")
	c.Want(exit.OK, []string{"pause"}, "all pools: paused; nothing is made or retired, and launches go on, until greenroom resume")
	c.Want(exit.NotFound, []string{"resume", "demo-east"}, "is not paused")
	c.Want(exit.OK, []string{"resume"}, "all pools: resumed")
	for _, args := range [][]string{{"pause", "--zone"}, {"pause", "x", "--zone", "--staging"}, {"pause", "--list", "x"}, {"staging", "recycle", "x", "--older-than", "y"}} {
		c.Want(exit.Usage, args)
	}
	c.Want(exit.OK, []string{"staging", "recycle", "demo-east", "--older-than", "24h"}, "the sessions of demo-east that were made before")
	c.Want(exit.OK, []string{"staging", "set", "demo-east", "--update", "on_replenish", "--keep-failed", "2"}, "update", "on_replenish", "keep_failed")
	c.Want(exit.OK, []string{"staging", "retry", "demo-east"}, "pool demo-east is tried again now")
	c.Want(exit.NotFound, []string{"staging", "retry", "nowhere"})
	if want := []string{"recycle demo-east ", "retry demo-east", "recycle demo-east 24h0m0s", "retry demo-east", "retry nowhere"}; !slices.Equal(b.Ordered, want) {
		t.Errorf("ordered %v", b.Ordered)
	}
}

// TestWhyCommand says what is wrong with a pool or a session, and what to do.
func TestWhyCommand(t *testing.T) {
	c := clitest.New(t, "")
	b := c.Broker
	b.ConfigByName["demo-east"] = staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3, KeepFailed: 1}
	failed := staging.NewSessionID()
	b.LastFailure = &staging.PoolFailure{
		Session: failed, At: time.Now(), Reason: "task session: exit code 3", Node: "n-1", Task: "session",
		Stderr: []string{"reading /etc/x", "no such display: :7"}, TaskEvents: []string{"session: Terminated: Exit Code: 3"},
	}
	b.Kept = []string{failed}
	c.Want(exit.OK, []string{"why", "demo-east"}, "1 of 3 sessions ready (short)", "! CapacityExhausted (for 0s)", "not enough memory", "next: add nodes",
		"last failure: session "+failed, "on node n-1", "reading /etc/x", "no such display: :7", "session: Terminated: Exit Code: 3", "greenroom logs "+failed+" --stderr")
	c.Want(exit.OK, []string{"why", "demo-east", "-o", "json"}, `"what": "CapacityExhausted"`, `"next": "add nodes`, `"no such display: :7"`)
	c.Want(exit.OK, []string{"staging", "show", "demo-east"}, "last failure", "task session: exit code 3", "kept in Nomad", "keeps failed")
	b.StatusNow.Zones = []status.ZoneStatus{{Name: "east", Pools: []status.PoolStatus{{Pool: status.Pool{Config: b.ConfigByName["demo-east"]}, Remark: "a session was destroyed"}}}}
	c.Want(exit.OK, []string{"why", "demo-east"}, "remark: a session was destroyed")
	c.Want(exit.OK, []string{"why", "demo-east", "-o", "json"}, `"remark": "a session was destroyed"`)
	c.Want(exit.NotFound, []string{"why", "nowhere"})
	b.ConfigByName["now"] = staging.Config{Name: "now", Zone: "east", Image: "demo", DesiredSessions: 3, Update: staging.UpdateImmediate}
	b.Updated = &status.Updated{}
	c.Want(exit.OK, []string{"why", "now"}, "! immediate", "no launch gets 1 of the ready sessions: they are of an older revision", "next: wait until they are replaced")
	b.Paused = map[staging.PauseTarget]staging.Pause{{Staging: "now"}: {PauseTarget: staging.PauseTarget{Staging: "now"}}}
	c.Want(exit.OK, []string{"why", "now"}, "next: greenroom resume now, so that they are replaced")
	b.SessionList = []staging.Session{{
		ID: failed, State: staging.Ended, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "demo-east", Kept: true,
		CreatedAt: time.Now(), EndedAt: time.Now(), Reason: "failed: task session: exit code 3",
	}}
	c.Want(exit.OK, []string{"why", failed}, "ended, of image demo in zone east, made for demo-east", "failed: task session: exit code 3",
		"next: greenroom why demo-east", "no such display: :7", "kept in Nomad")
	c.Want(exit.OK, []string{"sessions", "show", failed}, "kept", "for inspection")
}
