package upgrade

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// command runs greenroom against a broker, and returns its exit code and what it printed.
type command struct {
	program, broker string
}

func (c command) want(t *testing.T, code int, printed string, args ...string) (stdout string) {
	t.Helper()
	cmd := exec.Command(c.program, args...)
	cmd.Env = append(os.Environ(), "GREENROOM_ADDR="+c.broker, "GREENROOM_TOKEN=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out)+stderr.String(), printed) {
		t.Fatalf("greenroom %s: exit code %d, want %d with %q:\n%s%s", strings.Join(args, " "), got, code, printed, out, &stderr)
	}
	return string(out)
}

// TestBackupAndRestore: what a backup has is stored again as it was, with every rule held before
// the first write, and users keep their sessions. Secrets are in a backup where that was said.
func TestBackupAndRestore(t *testing.T) {
	program := agenttest.Program(t, "greenroom")
	r := start(t, program, "--consul-prefix", "gr-b", "--redis-prefix", "gr-b")
	r.stores(t, "plain", 1)
	const secret = "hunter2"
	r.Ask(t, "PUT", "/v1/images/secret", staging.Image{
		Name: "secret", Jobspec: jobspecs.DemoMock, Variables: map[string]string{"starts_in": "0s", "run_for": "25h"},
		ExecConfig: staging.ExecConfig{Go: &staging.Hook{Cmd: []string{"/bin/true"}, Environment: map[string]string{"KEY": secret}}},
	}, 201, nil)
	r.Ask(t, "PUT", "/v1/groups/students", staging.Group{Name: "students", Priority: 7}, 201, nil)
	r.Ask(t, "PUT", "/v1/staging/later", `{"zone":"east","image":"secret","desired_sessions":0}`, 201, nil)
	r.Ask(t, "PUT", "/v1/webhooks/billing", `{"url":"http://127.0.0.1:1/","secret":"whsec_`+strings.Repeat("A", 44)+`"}`, 201, nil)
	r.UntilReady(t, "plain", 1)
	alices := r.launches(t, "plain", "u-alice")
	c := command{program, "http://" + r.broker.Address}
	dir := t.TempDir()
	shown, whole := filepath.Join(dir, "shown.json"), filepath.Join(dir, "whole.json")

	c.want(t, 2, "--secrets", "backup", "--secrets")
	c.want(t, 0, "7 resources written to", "backup", shown)
	c.want(t, 0, "", "backup", "--secrets", whole)
	for file, has := range map[string]bool{shown: false, whole: true} {
		info, err := os.Stat(file)
		agenttest.Must(t, err)
		text, err := os.ReadFile(file)
		agenttest.Must(t, err)
		if info.Mode().Perm() != 0o600 || strings.Contains(string(text), secret) != has || strings.Contains(string(text), "whsec_") {
			t.Errorf("%s has mode %s and the secret: want %v\n%s", file, info.Mode(), has, text)
		}
		c.want(t, 0, "Nothing to change", "restore", "--dry-run", file)
	}
	if out := c.want(t, 0, "", "backup", "-"); !json.Valid([]byte(out)) {
		t.Errorf("the backup on the standard output: %s", out)
	}

	// Something is changed, and something is lost.
	r.Ask(t, "PUT", "/v1/groups/students", staging.Group{Name: "students", Priority: 8}, 200, nil)
	r.Ask(t, "PUT", "/v1/groups/strangers", staging.Group{Name: "strangers", Priority: 9}, 201, nil)
	for _, path := range []string{"/v1/staging/later", "/v1/images/secret", "/v1/webhooks/billing"} {
		r.Ask(t, "DELETE", path, nil, 204, nil)
	}
	stored := func() string { return c.want(t, 0, "", "get", "all", "-o", "hcl") }
	before := stored()
	for file, why := range map[string]string{
		shown: `image "secret" cannot be created: the backup hides its jobspec`,
		whole: `webhook "billing" cannot be created: the backup hides its`,
		rewritten(t, whole, `"greenroom_backup": 1`, `"greenroom_backup": 2`):                "reads formats up to 1",
		rewritten(t, whole, `"desired_sessions": 0`, `"desired_sessions": 0, "beauty": "x"`): "cannot restore all of it",
		rewritten(t, whole, `"image": "secret"`, `"image": "none"`):                          `there is no image "none"`,
		rewritten(t, whole, `"desired_sessions": 0`, `"desired_sessions": -1`):               "desired_sessions",
		rewritten(t, whole, `"installation": "gi-`, `"installation": "gi-0`):                 "--other-installation",
		rewritten(t, whole, "\n}\n", ""):                                                     "not all of one",
	} {
		args := []string{"restore", file}
		if file != shown && file != whole {
			args = append(args, "--skip-hidden")
		}
		c.want(t, 4, why, args...)
		if after := stored(); after != before {
			t.Errorf("a restore that failed as %q changed what is stored:\n%s\n%s", why, before, after)
		}
	}
	c.want(t, 7, "2 to create, 1 to update, 0 to delete", "restore", "--dry-run", "--skip-hidden", whole)
	if after := stored(); after != before {
		t.Errorf("a dry run changed what is stored:\n%s", after)
	}
	c.want(t, 0, "Restored.", "restore", "--skip-hidden", whole)
	var group staging.Group
	if r.Ask(t, "GET", "/v1/groups/students", nil, 200, &group); group.Priority != 7 {
		t.Errorf("the group is restored as %+v", group)
	}
	if now := stored(); !strings.Contains(now, secret) || !strings.Contains(now, "strangers") {
		t.Errorf("restored: %s", now)
	}
	c.want(t, 0, `webhook "billing" cannot be created`, "restore", "--skip-hidden", whole)
	c.want(t, 15, "", "restore", "--skip-hidden", "--prune", whole)
	c.want(t, 0, "1 to delete", "restore", "--skip-hidden", "--prune", "--yes", whole)
	r.Ask(t, "GET", "/v1/groups/strangers", nil, 404, nil)
	agenttest.Until(t, "alice has her session", func() (bool, string) {
		answer := r.Ask(t, "GET", "/v1/sessions/"+alices, nil, 200, nil)
		return strings.Contains(string(answer.Body), `"assigned"`), string(answer.Body)
	})
}

// rewritten returns a copy of a backup with another text in it.
func rewritten(t *testing.T, file, text, other string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	agenttest.Must(t, err)
	changed := strings.Replace(string(b), text, other, 1)
	if changed == string(b) {
		t.Fatalf("%s has no %q:\n%s", file, text, b)
	}
	f, err := os.CreateTemp(t.TempDir(), "rewritten-*.json")
	agenttest.Must(t, err)
	_, err = f.WriteString(changed)
	agenttest.Must(t, err)
	agenttest.Must(t, f.Close())
	return f.Name()
}
