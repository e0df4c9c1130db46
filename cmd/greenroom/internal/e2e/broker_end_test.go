package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestABrokerThatStopsOrDiesLeavesNoUserBehind: a broker that is told to stop finishes the
// launch whose hook runs, and takes no other. When a broker is killed in a hook, its user is
// served elsewhere, long before the lease of the claim is over.
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
esac`}}
	one := 1
	d.ask(t, "PUT", "/v1/groups/one", staging.Group{Name: "one", Priority: 1, MaxSessionsPerUser: &one}, 201, nil)
	d.ask(t, "PUT", "/v1/images/hooked", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/hooked", staging.Config{Zone: "east", Image: "hooked", DesiredSessions: 3}, 201, nil)
	second, third := at(d, startAgent(t, c, "broker")), at(d, startAgent(t, c, "broker"))
	d.untilReady(t, "hooked", 3)

	t.Run("told to stop", func(t *testing.T) {
		answered := inBackground(d, "stopped")
		untilThere(t, began("stopped"))
		must(t, d.agent.cmd.Process.Signal(syscall.SIGTERM))
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
		<-d.agent.done
		if code := d.agent.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the broker ended with exit code %d", code)
		}
	})

	t.Run("killed", func(t *testing.T) {
		answered := inBackground(second, "killed")
		untilThere(t, began("killed"))
		var list struct{ Items []struct{ ID, State string } }
		third.ask(t, "GET", "/v1/sessions?user=u-killed", nil, 200, &list)
		if len(list.Items) != 1 {
			t.Fatalf("%+v", list)
		}
		second.agent.end(t, syscall.SIGKILL)
		<-answered
		must(t, os.WriteFile(again, nil, 0o644))
		var next reply
		until(t, "the user of the killed broker is served by another", func() (bool, string) {
			var err error
			next, err = third.call("POST", "/v1/sessions", jsonText(launchOfOne("killed")))
			must(t, err)
			return next.status == 201, string(next.body)
		})
		if reason := third.untilEnded(t, list.Items[0].ID); reason != "the broker that claimed it is gone" {
			t.Errorf("the session of the killed broker's claim ended: %s", reason)
		}
	})
}

// at returns the servers with another broker.
func at(d *devProcess, broker *agent) *devProcess {
	other := &devProcess{agent: broker, readyFile: d.readyFile}
	other.Broker = "http://" + broker.address
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
