package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/jobspecs"
)

// rollFiles are resources of an image with a pool of 3. A version is a revision of its own;
// a broken one has a first_launch hook that fails.
func rollFiles(t *testing.T, version string, broken bool) string {
	hook := ""
	if broken {
		hook = `
  exec_config {
    first_launch {
      cmd = ["/bin/false"]
    }
  }`
	}
	return clitest.Dir(t, map[string]string{"rolls.nomad.hcl": jobspecs.DemoRawExec, "rolls.hcl": fmt.Sprintf(`
image "rolls" {
  jobspec   = file("rolls.nomad.hcl")
  variables = { command = %q, warmup = "0s", version = %q }%s
}
staging "rolls" {
  zone             = "east"
  image            = "rolls"
  desired_sessions = 3
}
`, filepath.Join(bin, "demo-session"), version, hook)})
}

// rowOf returns a row of a table that a command printed, by its columns.
func rowOf(t *testing.T, table, name string) map[string]string {
	t.Helper()
	gap := regexp.MustCompile(`\s{2,}`)
	lines := strings.Split(table, "\n")
	header := gap.Split(strings.TrimSpace(lines[0]), -1)
	for _, line := range lines[1:] {
		cells := gap.Split(strings.TrimSpace(line), -1)
		if cells[0] != name || len(cells) != len(header) {
			continue
		}
		row := map[string]string{}
		for i, column := range header {
			row[column] = cells[i]
		}
		return row
	}
	t.Fatalf("no row of %s:\n%s", name, table)
	return nil
}

// TestARolloutIsToldUntilItIsDone: the tables of the command line and the page say how many
// sessions are updated. A revision that cannot become ready is stuck, while launches get the
// old one, and nothing that waits for the pool counts that. Mended, it rolls.
func TestARolloutIsToldUntilItIsDone(t *testing.T) {
	cluster, d := startServers(t, []string{"dc1"})
	scaler := startAgent(t, cluster, "scaler")
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	c := clitest.Real(t)
	row := func() map[string]string { return rowOf(t, c.Want(exit.OK, []string{"staging", "-o", "wide"}), "rolls") }
	of := func(revision string) []string {
		code, out, errs := c.Run("sessions", "--revision", revision, "-o", "name")
		if code == exit.NotFound && strings.Contains(errs, "there is no revision") {
			return nil
		}
		if code != exit.OK {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		found := strings.Fields(out)
		slices.Sort(found)
		return found
	}
	untilUpdated := func(want string) map[string]string {
		t.Helper()
		var now map[string]string
		until(t, want+" updated", func() (bool, string) {
			now = row()
			return now["UPDATED"] == want && now["READY"] == "3", fmt.Sprint(now)
		})
		return now
	}

	c.Want(exit.OK, []string{"apply", "-f", rollFiles(t, "1", false), "--wait"}, "rolls has 3 ready\n")
	first := untilUpdated("3 of 3")["REVISION"]
	olds := of(first)
	if len(olds) != 3 {
		t.Fatalf("of revision %s are %v", first, olds)
	}

	// A scaler that does not act leaves the moment at which the revision is new.
	scaler.Signal(t, syscall.SIGSTOP)
	c.Want(exit.OK, []string{"apply", "-f", rollFiles(t, "2", false)}, `image "rolls" updated`)
	if now := row(); now["UPDATED"] != "0 of 3" || now["READY"] != "3" || now["REVISION"] == first {
		t.Errorf("of a new revision: %v", now)
	}
	c.Want(exit.OK, []string{"watch", "-n", "1"}, "UPDATED", "0 of 3")
	c.Want(exit.Failed, []string{"staging", "wait", "rolls", "--ready", "1", "--timeout", "1ms"},
		"rolls has 0 of 1 ready, 0 of 3 updated; 3 ready of an older revision do not count")
	if now := of(first); !slices.Equal(now, olds) {
		t.Errorf("of revision %s are %v, were %v", first, now, olds)
	}
	scaler.Signal(t, syscall.SIGCONT)
	c.Want(exit.OK, []string{"apply", "-f", rollFiles(t, "2", false), "--wait"}, "rolls has 3 ready")
	second := untilUpdated("3 of 3")["REVISION"]
	until(t, "none of the first revision is left", func() (bool, string) { return len(of(first)) == 0, fmt.Sprint(of(first)) })
	if r := rowOf(t, c.Want(exit.OK, []string{"images"}), "rolls")["REVISION"]; r != second {
		t.Errorf("the image says revision %s, its pool %s", r, second)
	}
	olds = of(second)

	c.Want(exit.OK, []string{"apply", "-f", rollFiles(t, "3", true)}, `image "rolls" updated`)
	stuck := regexp.MustCompile(`RolloutStuck\s+sessions of revision [0-9a-f]+ do not become ready \(HookFailing\): ready of it 0, and of an older one, which launches still get, 3`)
	until(t, "the rollout is stuck", func() (bool, string) {
		_, out, errs := c.Run("staging", "show", "rolls")
		return stuck.MatchString(out), out + errs
	})
	c.Want(exit.OK, []string{"watch", "-n", "1"}, "RolloutStuck: sessions of revision")
	c.Want(exit.Failed, []string{"apply", "-f", rollFiles(t, "3", true), "--wait", "--timeout", "1s"},
		"rolls has 0 of 3 ready, ", "3 ready of an older revision do not count", "RolloutStuck")
	if now := of(second); !slices.Equal(now, olds) {
		t.Errorf("of revision %s are %v, were %v", second, now, olds)
	}
	var l launched
	must(t, json.Unmarshal([]byte(c.Want(exit.OK, []string{"launch", "rolls", "--zone", "east", "--user", "alice", "-o", "json"})), &l))
	if l.Revision != second || l.Origin != "staged" || !slices.Contains(olds, l.ID) {
		t.Errorf("a launch got %+v, not a staged one of revision %s", l, second)
	}

	p := openLoggedIn(t, d)
	until(t, "the page says that the rollout is stuck", func() (bool, string) {
		r := p.row("rolls")
		return regexp.MustCompile(`^0 of [23]$`).MatchString(r["Updated"]) && strings.Contains(r["Conditions"], "RolloutStuck"), fmt.Sprint(r, p.text())
	})
	p.pictures("rollout-stuck")
	p.press("rolls")
	p.shows("updated", "RolloutStuck", "ready of it 0, and of an older one, which launches still get, 2")
	p.press("Sessions")
	p.fill("Revision", second)
	until(t, "the page lists those of the older revision", func() (bool, string) {
		n := eval[int](p, "document.querySelectorAll('tbody tr').length")
		return n == 3 && p.row(l.ID) != nil, p.text()
	})
	p.press("Staging")
	c.Want(exit.OK, []string{"apply", "-f", rollFiles(t, "4", false), "--wait"}, "rolls has 3 ready")
	p.untilRow("rolls", "Updated", "3 of 3")
	until(t, "no remark is left on the page", func() (bool, string) { r := p.row("rolls"); return r["Conditions"] == "–", fmt.Sprint(r) })
}
