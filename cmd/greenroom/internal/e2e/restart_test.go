package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// restartImage returns the demo with both hooks. Like a container, each start of its main
// task forgets all that the one before was told: the number of the start is its version.
func restartImage(name string) staging.Image {
	image := quickImage(name)
	image.Jobspec = strings.Replace(image.Jobspec, `command = var.command
        args    = ["-listen", "${NOMAD_ADDR_http}"]`, `command = "/bin/sh"
        args    = ["-c", "rm -f $NOMAD_TASK_DIR/served.jsonl; echo start >>$NOMAD_TASK_DIR/starts; DEMO_VERSION=$(wc -l <$NOMAD_TASK_DIR/starts) exec ${var.command} -listen ${NOMAD_ADDR_http}"]`, 1)
	image.ExecConfig.FirstLaunch = &staging.Hook{Cmd: demo("first-launch")}
	return image
}

// restart restarts a session's allocation in place, as an operator does.
func (d *devProcess) restart(t *testing.T, session string) {
	t.Helper()
	n := d.nomad(t)
	alloc, _, err := n.Allocations().Info(d.alloc(t, session).ID, nil)
	must(t, err)
	must(t, n.Allocations().Restart(alloc, "", nil))
}

// hookNames returns the names of the hooks that ran in the current start of a session.
func hookNames(t *testing.T, l launched) (names []string) {
	t.Helper()
	for _, h := range hooksRun(t, l) {
		names = append(names, h.Via)
	}
	return names
}

// of returns the events of a type about a session.
func (d *devProcess) of(t *testing.T, session string, kind staging.EventType) []map[string]any {
	t.Helper()
	return slices.DeleteFunc(d.noted(t, kind), func(e map[string]any) bool { return e["session"] != session })
}

// untilStart waits until a session's page is that of a start, counted from 1.
func untilStart(t *testing.T, l launched, start int) {
	t.Helper()
	until(t, fmt.Sprintf("the page is that of start %d", start), func() (bool, string) {
		version, err := fetch(l.page() + "/version")
		return err == nil && strings.TrimSpace(version) == fmt.Sprint(start), fmt.Sprint(version, err)
	})
}

// untilReassigned waits until a session was assigned again n times.
func (d *devProcess) untilReassigned(t *testing.T, session string, n int) {
	t.Helper()
	until(t, fmt.Sprintf("session %s is assigned again", session), func() (bool, string) {
		found := d.of(t, session, staging.EventReassigned)
		return len(found) >= n, fmt.Sprint(len(found), d.of(t, session, staging.EventHookFailed))
	})
}

// TestARestartedSessionIsItsUsersAgain: Nomad restarts the main task in place, once while the
// session waits in its pool, and twice under its user.
func TestARestartedSessionIsItsUsersAgain(t *testing.T) {
	d := sharedDev(t)
	image := restartImage("restarted")
	image.Variables["record"] = "SECRET"
	d.stage(t, image, 1)
	d.untilReady(t, "restarted", 1)
	id := d.passing(t, "restarted")[0]

	var waiting launched
	d.ask(t, "GET", "/v1/sessions/"+id, nil, 200, &waiting)
	d.restart(t, id)
	untilStart(t, waiting, 2)
	until(t, "it was withdrawn and is ready again", func() (bool, string) {
		withdrawn, state := d.of(t, id, staging.EventWithdrawn), d.session(t, id).State
		return len(withdrawn) > 0 && state == "ready", fmt.Sprint(withdrawn, state)
	})
	// Also in the moment before Nomad had told of the restart it was not ready as it was.
	if names := hookNames(t, waiting); !slices.Equal(names, []string{"first_launch"}) {
		t.Fatalf("hooks in the start after the restart, once it is ready again: %v", names)
	}
	d.untilReady(t, "restarted", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launchWith("restarted", "east", "rita", map[string]any{
		"url": "https://example.org/a", "environment": map[string]string{"SECRET": "it's \"s3cret\""},
	}), 201, &l)
	if l.ID != id || l.Origin != "staged" {
		t.Fatalf("session %s, want %s: %+v", l.ID, id, l.Attempts)
	}
	untilStart(t, l, 2)
	if names := hookNames(t, l); !slices.Equal(names, []string{"first_launch", "hook"}) {
		t.Errorf("hooks in the start after the restart: %v", names)
	}

	for start := 3; start <= 4; start++ {
		d.restart(t, id)
		d.untilReassigned(t, id, start-2)
		untilStart(t, l, start)
		if names := hookNames(t, l); !slices.Equal(names, []string{"hook"}) {
			t.Errorf("hooks in start %d: %v, want its assign hook, once", start, names)
		}
		// The session itself has kept what only the launch knew.
		if got := record(t, l); len(got) != 1 || got[0].UserName != "rita" || got[0].URL != "https://example.org/a" || got[0].Environment["SECRET"] != "it's \"s3cret\"" {
			t.Errorf("start %d: it is served for %+v", start, got)
		}
		if !strings.Contains(get(t, l.page()), "rita") {
			t.Errorf("start %d: its page does not greet its user", start)
		}
		if n := len(d.of(t, id, staging.EventRestarted)); n != start-2 {
			t.Errorf("%d events of a restart, want %d", n, start-2)
		}
	}
	if s := d.session(t, id); s.State != "assigned" || s.User.Name != "rita" || !s.RestartedAt.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestAFailingHookAfterARestartLeavesTheSessionWithItsUser, and says so.
func TestAFailingHookAfterARestartLeavesTheSessionWithItsUser(t *testing.T) {
	d := sharedDev(t)
	image := restartImage("relapse")
	image.ExecConfig.Assign.Cmd = []string{
		"/bin/sh", "-c",
		`echo run >>"$NOMAD_TASK_DIR/assigned"; [ "$(wc -l <"$NOMAD_TASK_DIR/starts")" -ne 2 ] || { echo no desktop here >&2; exit 7; }; exec "$0" assign`,
		filepath.Join(bin, "demo-session"),
	}
	d.stage(t, image, 1)
	d.untilReady(t, "relapse", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("relapse", "east", "sven"), 201, &l)
	d.restart(t, l.ID)
	until(t, "it is not up, and says why", func() (bool, string) {
		s := d.session(t, l.ID)
		return strings.Contains(s.RestartFailure, "exit code 7: no desktop here") && !s.RestartedAt.IsZero() && s.State == "assigned", fmt.Sprintf("%+v", s)
	})
	failed := d.of(t, l.ID, staging.EventHookFailed)
	if len(failed) != 1 || failed[0]["hook"] != "assign" || failed[0]["stderr"] != "no desktop here\n" || failed[0]["user_id"] != "u-sven" {
		t.Errorf("events: %v", failed)
	}
	d.restart(t, l.ID)
	d.untilReassigned(t, l.ID, 1)
	if got := record(t, l); len(got) != 1 || got[0].UserName != "sven" {
		t.Errorf("it is served for %+v", got)
	}
	// In each of the three starts the hook ran once.
	if runs := d.inside(t, l.ID, `wc -l <"$NOMAD_TASK_DIR/assigned"`); runs != "3" {
		t.Errorf("the assign hook ran %s times", runs)
	}
	if s := d.session(t, l.ID); s.State != "assigned" || s.RestartFailure != "" || !s.RestartedAt.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestATakeoverSeesARestart that happened while no scaler was watching, and runs no hook for
// one that another scaler has seen to.
func TestATakeoverSeesARestart(t *testing.T) {
	c, d := startServers(t, []string{"dc1"})
	first := startAgent(t, c, "scaler")
	image := restartImage("unwatched")
	d.ask(t, "PUT", "/v1/images/unwatched", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/unwatched", staging.Config{Zone: "east", Image: "unwatched", DesiredSessions: 2}, 201, nil)
	d.untilReady(t, "unwatched", 2)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("unwatched", "east", "tom"), 201, &l)
	d.untilReady(t, "unwatched", 2)
	unassigned := slices.DeleteFunc(d.passing(t, "unwatched"), func(id string) bool { return id == l.ID })[0]
	first.End(t, syscall.SIGKILL)
	d.restart(t, l.ID)
	d.restart(t, unassigned)
	untilStart(t, l, 2)
	if names := hookNames(t, l); len(names) != 0 {
		t.Fatalf("hooks without a scaler: %v", names)
	}
	second := startAgent(t, c, "scaler")
	d.untilReassigned(t, l.ID, 1)
	until(t, "the unassigned session is ready again", func() (bool, string) {
		withdrawn, ready := d.of(t, unassigned, staging.EventWithdrawn), d.of(t, unassigned, staging.EventReady)
		return len(withdrawn) == 1 && len(ready) == 2, fmt.Sprint(withdrawn, ready)
	})
	second.End(t, syscall.SIGKILL)
	// Redis forgets that the hook has run again; the session does not.
	must(t, d.wipeRedis(t))
	startAgent(t, c, "scaler")
	d.untilReassigned(t, l.ID, 1)
	if names := hookNames(t, l); !slices.Equal(names, []string{"hook"}) {
		t.Errorf("hooks after the restart: %v, want the assign hook once", names)
	}
	if s := d.session(t, l.ID); s.State != "assigned" || s.User.Name != "tom" {
		t.Errorf("%+v", s)
	}
	var other launched
	d.ask(t, "POST", "/v1/sessions", launch("unwatched", "east", "una"), 201, &other)
	if got := record(t, other); other.Origin != "staged" || len(got) != 1 || got[0].UserName != "una" {
		t.Errorf("%s session is served for %+v", other.Origin, got)
	}
}
