package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

func TestAnOperatorsCommandsOnRealServers(t *testing.T) {
	cluster, d := startServers(t, []string{"dc1"})
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	t.Setenv("NOMAD_ADDR", d.Nomad)
	c := clitest.Real(t)
	image := quickImage("quick")
	// The session must keep a log.
	image.Jobspec = strings.ReplaceAll(image.Jobspec, "disabled      = true", "disabled      = false")
	if image.Jobspec == jobspecs.DemoRawExec {
		t.Fatal("the jobspec's logs are not what this test takes them for")
	}
	image.Variables["warmup"] = "1500ms"
	image.ConnectURL = "http://{address}:{port_http}/"
	d.store(t, image)
	d.ask(t, "PUT", "/v1/staging/quick", staging.Config{Zone: "east", Image: "quick"}, 201, nil)

	// On demand: each step is printed, and not as part of the answer. What wants JSON gets that
	// alone.
	code, out, errs := c.Run("launch", "quick", "--zone", "east", "--user", "zoe", "--wait", "2m")
	if code != exit.OK || !strings.Contains(out, "gr-") {
		t.Fatalf("launch: %d %s%s", code, out, errs)
	}
	c.Want(exit.OK, []string{"sessions", "end", "--user", "zoe", "--yes"})
	var s launched
	quiet, out, none := c.Run("launch", "quick", "--zone", "east", "--user", "alice", "--wait", "2m", "--json")
	if quiet != exit.OK || none != "" {
		t.Fatalf("launch: %d %s%s", quiet, out, none)
	}
	clitest.Decode(t, out, &s)
	at := -1
	for _, step := range []string{"placing", "starting", "healthy", "assigned"} {
		next := strings.Index(errs, step)
		if next <= at {
			t.Errorf("step %s is not printed in its order:\n%s", step, errs)
		}
		at = next
	}

	// The session's log, and a command in it, by way of Nomad.
	until(t, "the log has been written", func() (bool, string) {
		code, out, errs := c.Run("logs", s.ID, "--stderr")
		return code == exit.OK && out != "", out + errs
	})
	c.Want(exit.OK, []string{"logs", s.ID})
	if last := c.Want(exit.OK, []string{"logs", s.ID, "--stderr", "--tail", "1"}); last == "" || strings.Count(last, "\n") > 1 {
		t.Errorf("the last line of the log is %q", last)
	}
	if out := c.Want(exit.OK, []string{"events", "--type", "assigned"}, s.ID, "assigned"); strings.Contains(out, "pending") {
		t.Errorf("events:\n%s", out)
	}
	// A session whose jobspec disables logs has none, and that is not reported as Nomad
	// being unavailable.
	d.store(t, quickImage("mute"))
	var mute launched
	clitest.Decode(t, c.Want(exit.OK, []string{"launch", "mute", "--zone", "east", "--user", "bob", "--wait", "2m", "--json"}), &mute)
	c.Want(exit.NotFound, []string{"logs", mute.ID}, "there is no log of task session", "disabled")
	c.Stdin = "some words"
	if out := c.Want(exit.OK, []string{"exec", s.ID, "--", "/bin/sh", "-c", "cat; echo; echo $NOMAD_JOB_ID"}); !strings.Contains(out, s.ID) || !strings.Contains(out, "some words") {
		t.Errorf("exec printed %q", out)
	}
	if code, _, errs := c.Run("exec", s.ID, "--", "/bin/sh", "-c", "echo to-stderr >&2; exit 37"); code != 37 || errs != "to-stderr\n" {
		t.Errorf("exec's exit code %d, stderr %q", code, errs)
	}
	c.Want(exit.NoCommand, []string{"exec", s.ID, "--", "no-such-program"}, "no such command", "no-such-program")
	c.Want(exit.NoCommand, []string{"exec", s.ID, "--", "/no/such/program"}, "no such command")
	c.Want(exit.NotExecutable, []string{"exec", s.ID, "--", "/etc/passwd"}, "cannot be executed")
	c.Want(exit.NotFound, []string{"logs", "gr-none"}, "gr-none", "NOMAD_TOKEN")
	c.Want(exit.Usage, []string{"exec", s.ID}, "COMMAND")
	c.Want(exit.Usage, []string{"exec", s.ID, "--tty", "maybe", "--", "true"}, "--tty")

	// logs -f ends at an interrupt.
	ctx, stop := context.WithCancel(t.Context())
	var text buffer
	ended := make(chan int)
	go func() {
		ended <- cli.Run(ctx, []string{"logs", s.ID, "--stderr", "--tail", "1", "-f"}, strings.NewReader(""), &text, &text)
	}()
	until(t, "the log is followed", func() (bool, string) { return text.String() != "", text.String() })
	stop()
	if code := <-ended; code != exit.OK {
		t.Errorf("logs -f ended with %d: %s", code, text.String())
	}

	// A pool without a scaler is not well, even if it wants no sessions.
	c.Want(exit.Unwell, []string{"status"}, "not all is well", "consul ok", "quick", "! no scaler is at work in zone east")
	c.Want(exit.OK, []string{"staging", "set", "quick", "--desired", "2", "--expiration", "8h"}, `staging "quick" updated`, "desired_sessions: 0 -> 2", `expiration: (not set) -> "8h0m0s"`)
	var config staging.Config
	d.ask(t, "GET", "/v1/staging/quick", nil, 200, &config)
	if config.DesiredSessions != 2 || config.Zone != "east" {
		t.Errorf("set: %+v", config)
	}
	until(t, "status says what the pool lacks", func() (bool, string) {
		code, out, errs := c.Run("status")
		return code == exit.Unwell && strings.Contains(out, "! staging config quick: 0 of 2 ready"), out + errs
	})
	c.Want(exit.OK, []string{"staging", "wait", "quick", "--ready", "0"})
	c.Want(exit.Failed, []string{"staging", "wait", "quick", "--timeout", "1ms"}, "quick has 0 of 2 ready")
	var o struct {
		Well                          bool
		Problems, Pools, Dependencies []any
	}
	clitest.Decode(t, c.Want(exit.Unwell, []string{"status", "--json"}), &o)
	if o.Well || len(o.Problems) != 2 || len(o.Pools) != 1 || len(o.Dependencies) != 3 {
		t.Errorf("status --json: %+v", o)
	}
	if out := c.Want(exit.OK, []string{"watch", "-n", "2", "--interval", "100ms"}); strings.Count(out, "DESIRED") != 2 || strings.Contains(out, "\x1b") {
		t.Errorf("watch:\n%s", out)
	}
	if out := c.Want(exit.OK, []string{"watch", "-n", "2", "--interval", "100ms", "--json"}); strings.Count(strings.TrimSpace(out), "\n") != 1 {
		t.Errorf("watch --json:\n%s", out)
	}
	c.Want(exit.Invalid, []string{"staging", "set", "quick", "--desired", "-1"}, "desired_sessions")
	c.Want(exit.Usage, []string{"staging", "set", "quick"}, "--desired")
	c.Want(exit.NotFound, []string{"staging", "set", "none", "--desired", "1"}, "none")
	// An unavailable server is reported, whatever else cannot be read.
	must(t, cluster.Redis.Pause())
	until(t, "status says that Redis is away", func() (bool, string) {
		code, out, errs := c.Run("status")
		return code == exit.Unwell && strings.Contains(out, "! redis does not answer"), out + errs
	})
	must(t, cluster.Redis.Resume())
	until(t, "everything answers again", func() (bool, string) {
		_, out, errs := c.Run("status")
		return !strings.Contains(out, "redis is unavailable"), out + errs
	})
	// What is stored is printed as apply reads it, and ends by its name.
	hcl := c.Want(exit.OK, []string{"get", "all", "-o", "hcl"}, `image "quick" {`, `staging "quick" {`, "<<EOT")
	c.Stdin = hcl
	c.Want(exit.OK, []string{"plan", "-f", "-"}, "Nothing to change")
	c.Want(exit.OK, []string{"zones"}, "east", "dc1")
	c.Want(exit.OK, []string{"images", "-o", "name"}, "mute\n", "quick\n")
	c.Want(exit.OK, []string{"sessions", "show", s.ID}, "connect", "alice", "revision")
	c.Want(exit.NotFound, []string{"sessions", "--zone", "eats"}, `there is no zone "eats"`)
	c.Want(exit.Refused, []string{"delete", "image", "quick"}, "in_use")
	c.Want(exit.OK, []string{"sessions", "end", "--user", "alice", "--yes"}, s.ID)
	until(t, "a command finds that the session has ended", func() (bool, string) {
		code, out, errs := c.Run("exec", s.ID, "-o", "json", "--", "true")
		return code == exit.Refused && strings.Contains(errs, "this session has ended"), out + errs
	})
	c.Want(exit.OK, []string{"delete", "staging/quick", "--wait"}, `staging "quick" deleted`)
	c.Want(exit.NotFound, []string{"staging", "show", "quick"}, "quick")
}
