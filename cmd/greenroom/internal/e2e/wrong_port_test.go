package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestAWrongPortIsToldAndMendedFromTheCommandLine: the commonest mistake, a program that
// listens on another port than the jobspec says, is a condition with the check, its output and
// the node while the session is still waited for. The session and a launch show it, too. The
// mended image replaces it.
func TestAWrongPortIsToldAndMendedFromTheCommandLine(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	const listen = `["-listen", "${NOMAD_ADDR_http}"]`
	wrong := strings.Replace(jobspecs.DemoRawExec, listen, `["-listen", "127.0.0.1:0"]`, 1)
	if wrong == jobspecs.DemoRawExec {
		t.Fatal("the jobspec is not what this test takes it for")
	}
	files := func(jobspec string) string {
		return clitest.Dir(t, map[string]string{"port.nomad.hcl": jobspec, "port.hcl": fmt.Sprintf(`
image "port" {
  jobspec   = file("port.nomad.hcl")
  variables = { command = %q, warmup = "0s" }
  patience {
    start = "9m"
  }
}
staging "port" {
  zone             = "east"
  image            = "port"
  desired_sessions = 1
}
`, filepath.Join(bin, "demo-session"))})
	}
	c.Want(exit.OK, []string{"apply", "-f", files(wrong)}, `image "port" created`, `staging "port" created`)
	t.Cleanup(func() {
		d.ask(t, "DELETE", "/v1/staging/port", nil, 204, nil)
		d.ask(t, "DELETE", "/v1/images/port", nil, 204, nil)
		d.endAll(t, "port")
	})

	const refused = `connect: connection refused`
	says := regexp.MustCompile(`HealthCheckFailing.*check "port http \(http /health\)" of session (gr-[0-9a-z]+) on node \S+ \([0-9a-f-]{36}\) fails: .*127\.0\.0\.1:\d+.*` + refused)
	var id string
	until(t, "the pool says which check fails, where, and how", func() (bool, string) {
		code, out, errs := c.Run("staging", "show", "port")
		found := says.FindStringSubmatch(out)
		if code == exit.OK && found != nil {
			id = found[1]
		}
		return id != "", out + errs
	})
	// Nobody had to wait until it was given up.
	c.Want(exit.OK, []string{"sessions", "show", id}, "starting", "failing check", refused)

	// A launch says what it waits for, and what it waited for in vain.
	code, out, errs := c.Run("launch", "port", "--zone", "east", "--user", "alice", "--wait", "20s")
	if code != exit.NotUp || !strings.Contains(errs, "waiting   check ") || !strings.Contains(errs, refused) || !strings.Contains(out, "not up within 20s: check ") {
		t.Errorf("launch: %d\n%s%s", code, out, errs)
	}

	c.Want(exit.OK, []string{"apply", "-f", files(jobspecs.DemoRawExec)}, `image "port" updated`)
	until(t, "the mended image is ready", func() (bool, string) {
		_, out, errs := c.Run("sessions", "list", "--staging", "port", "--state", "ready")
		_, shown, _ := c.Run("staging", "show", "port")
		return strings.Contains(out, "gr-") && !strings.Contains(out, id) && !strings.Contains(shown, "HealthCheckFailing"), out + shown + errs
	})
}

// TestAFailedLaunchNamesItsSessionAndItsLastWords: the program writes why, and exits.
func TestAFailedLaunchNamesItsSessionAndItsLastWords(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	image := quickImage("last-words")
	image.Jobspec = strings.ReplaceAll(image.Jobspec, "disabled      = true", "disabled      = false")
	script := filepath.Join(t.TempDir(), "last-words")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\necho starting >&2\necho 'no such display: :7' >&2\nexit 3\n"), 0o755))
	image.Variables["command"] = script
	d.store(t, image)
	c := clitest.Real(t)
	var errs string
	until(t, "the log was written before the launch failed", func() (bool, string) {
		var code int
		code, _, errs = c.Run("launch", "last-words", "--zone", "east", "--user", "bob", "--wait", "1m")
		return code == exit.Failed && strings.Contains(errs, "the last line of its stderr: no such display: :7"), errs
	})
	said := regexp.MustCompile(`session (gr-[0-9a-z]+) was placed and could not start: task session: exit code 3`).FindStringSubmatch(errs)
	if said == nil {
		t.Fatalf("the launch says:\n%s", errs)
	}
	// Whoever comes later finds the same, for as long as the session's record is kept.
	const why, words = "exit code 3", "the last line of its stderr: no such display: :7"
	until(t, "the list of those that have ended says why", func() (bool, string) {
		_, out, errs := c.Run("sessions", "--state", "ended", "--image", "last-words")
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, said[1]) {
				return strings.Contains(line, why) && strings.Contains(line, words), line
			}
		}
		return false, out + errs
	})
	c.Want(exit.OK, []string{"sessions", "show", said[1]}, "ended", why, words)
	c.Want(exit.OK, []string{"events", "--session", said[1]}, "ending", "user=bob", "zone=east", why, words)
}
