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
)

// TestACrashLoopShowsItsLastWords: the program writes why, and exits before its session is
// ready. The pool's condition says it, on the command line and in the event; so does each
// session in the list of those that ended, and by its id.
func TestACrashLoopShowsItsLastWords(t *testing.T) {
	d := sharedDev(t)
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	image := quickImage("crash")
	image.Jobspec = strings.ReplaceAll(image.Jobspec, "disabled      = true", "disabled      = false")
	script := filepath.Join(t.TempDir(), "crash")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\necho starting >&2\necho 'no such display: :7' >&2\nexit 3\n"), 0o755))
	image.Variables["command"] = script
	d.stage(t, image, 1)

	says := regexp.MustCompile(`CrashLooping.*task session: exit code 3.* \(\d+ in a row\); the last lines of stderr of session (gr-[0-9a-z]+): starting \| no such display: :7`)
	var id string
	until(t, "the pool says what the program said", func() (bool, string) {
		_, out, errs := c.Run("staging", "show", "crash")
		if found := says.FindStringSubmatch(out); found != nil {
			id = found[1]
		}
		return id != "", out + errs
	})
	until(t, "the session is listed with why it ended", func() (bool, string) {
		_, out, errs := c.Run("sessions", "--state", "ended", "--staging", "crash")
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, id) && strings.Contains(line, " ago ") && strings.Contains(line, "failed: task session: exit code 3") && strings.Contains(line, "no such display: :7") {
				t.Logf("%s", line)
				return true, ""
			}
		}
		return false, out + errs
	})
	c.Want(exit.OK, []string{"sessions", "show", id}, "ended", "the last line of its stderr: no such display: :7")
	_, out, _ := c.Run("events", "--type", "conditions", "--tail", "200")
	if !says.MatchString(out) {
		t.Errorf("no event has it:\n%s", out)
	}
	if _, out, _ := c.Run("sessions", "--staging", "crash", "-o", "name"); strings.Contains(fmt.Sprint(out), id) {
		t.Errorf("it is listed with those that have not ended:\n%s", out)
	}
}
