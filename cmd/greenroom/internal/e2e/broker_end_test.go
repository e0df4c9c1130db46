package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestABrokerThatStopsOrDiesLeavesNoUserBehind: a broker that is told to stop finishes the
// launch whose hook runs, and takes no other. When a broker is killed in a hook, its user is
// served elsewhere, long before the lease of the claim is over. When a broker only seemed to be
// dead, it cannot finish what was taken from it.
func TestABrokerThatStopsOrDiesLeavesNoUserBehind(t *testing.T) {
	c, d := startServers(t, []string{"dc1"})
	startAgent(t, c, "scaler")
	dir := t.TempDir()
	began := func(user string) string { return filepath.Join(dir, "began-u-"+user) }
	again := filepath.Join(dir, "again")
	image := quickImage("hooked")
	// Longer than the time that a broker takes to close its connections.
	image.ExecConfig.Assign = &staging.Hook{Timeout: staging.Duration(100 * time.Second), Cmd: []string{"/bin/sh", "-c", `
touch "` + dir + `/began-$GREENROOM_USER_ID"
case "$GREENROOM_USER_ID" in
u-stopped) sleep 15 ;;
u-killed) [ -e "` + again + `" ] || sleep 90 ;;
u-frozen) sleep 1; touch "` + dir + `/ran-$GREENROOM_USER_ID" ;;
esac`}}
	one := 1
	d.ask(t, "PUT", "/v1/groups/one", staging.Group{Name: "one", Priority: 1, MaxSessionsPerUser: &one}, 201, nil)
	d.ask(t, "PUT", "/v1/images/hooked", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/hooked", staging.Config{Zone: "east", Image: "hooked", DesiredSessions: 5}, 201, nil)
	second, third, fourth := at(d, startAgent(t, c, "broker")), at(d, startAgent(t, c, "broker")), at(d, startAgent(t, c, "broker"))
	d.untilReady(t, "hooked", 5)

	t.Run("told to stop", func(t *testing.T) {
		t.Parallel()
		answered := inBackground(d, "stopped")
		untilThere(t, began("stopped"))
		d.agent.Signal(t, syscall.SIGTERM)
		until(t, "the broker is not ready", func() (bool, string) {
			r, err := d.call("GET", "/v1/health/ready", "")
			must(t, err)
			return r.status == http.StatusServiceUnavailable, string(r.body)
		})
		refusedWith(t, d, "hooked", "stopping")
		r := <-answered
		must(t, r.err)
		if r.status != 201 {
			t.Errorf("the launch whose hook ran: %d %s", r.status, r.body)
		}
		<-d.agent.Done()
		if code := d.agent.ExitCode(); code != 0 {
			t.Errorf("the broker ended with exit code %d", code)
		}
	})

	t.Run("frozen", func(t *testing.T) {
		t.Parallel()
		answered := inBackground(fourth, "frozen")
		untilThere(t, began("frozen"))
		fourth.agent.Signal(t, syscall.SIGSTOP)
		taken := onlySession(t, third, "frozen")
		// The hook succeeds, which the broker learns only when the session is no longer its.
		untilThere(t, filepath.Join(dir, "ran-u-frozen"))
		if reason := third.untilEnded(t, taken); reason != "the broker that claimed it is gone" {
			t.Errorf("the session of the claim of a broker that stands still ended: %s", reason)
		}
		var next launched
		third.ask(t, "POST", "/v1/sessions", launchOfOne("frozen"), 201, &next)
		fourth.agent.Signal(t, syscall.SIGCONT)
		r := <-answered
		must(t, r.err)
		var p struct {
			Code     string
			Attempts []struct{ Outcome, Reason string }
		}
		must(t, json.Unmarshal(r.body, &p))
		if p.Code != "session_limit" || len(p.Attempts) == 0 || p.Attempts[0].Outcome != "lost" || !strings.Contains(p.Attempts[0].Reason, taken) {
			t.Errorf("the launch of the broker that stood still: %d %s", r.status, r.body)
		}
		if s := third.session(t, taken); s.State != "ended" {
			t.Errorf("the session that was taken from it: %+v", s)
		}
		if s := third.session(t, next.ID); s.State != "assigned" || next.ID == taken {
			t.Errorf("the user's session: %+v", s)
		}
	})

	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		answered := inBackground(second, "killed")
		untilThere(t, began("killed"))
		taken := onlySession(t, third, "killed")
		second.agent.End(t, syscall.SIGKILL)
		<-answered
		must(t, os.WriteFile(again, nil, 0o644))
		var next reply
		until(t, "the user of the killed broker is served by another", func() (bool, string) {
			var err error
			next, err = third.call("POST", "/v1/sessions", jsonText(launchOfOne("killed")))
			must(t, err)
			return next.status == 201, string(next.body)
		})
		if reason := third.untilEnded(t, taken); reason != "the broker that claimed it is gone" {
			t.Errorf("the session of the killed broker's claim ended: %s", reason)
		}
	})
}

// onlySession returns the id of the only session that a user has.
func onlySession(t *testing.T, d *devProcess, user string) string {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	d.ask(t, "GET", "/v1/sessions?user=u-"+user, nil, 200, &list)
	if len(list.Items) != 1 {
		t.Fatalf("%+v", list)
	}
	return list.Items[0].ID
}

// at returns the servers with another broker.
func at(d *devProcess, broker *agent) *devProcess {
	other := &devProcess{agent: broker, readyFile: d.readyFile}
	other.Broker = "http://" + broker.Address
	return other
}

// launchOfOne returns the body of a launch for a user who may have one session.
func launchOfOne(user string) map[string]any {
	body := launch("hooked", "east", user)
	body["groups"] = []string{"one"}
	return body
}

type backgroundReply struct {
	reply
	err error
}

// inBackground launches for a user who may have one session.
func inBackground(d *devProcess, user string) <-chan backgroundReply {
	answered := make(chan backgroundReply, 1)
	go func() {
		r, err := d.call("POST", "/v1/sessions", jsonText(launchOfOne(user)))
		answered <- backgroundReply{r, err}
	}()
	return answered
}

// untilThere waits until a file exists.
func untilThere(t *testing.T, path string) {
	t.Helper()
	until(t, path+" exists", func() (bool, string) {
		_, err := os.Stat(path)
		return err == nil, ""
	})
}
