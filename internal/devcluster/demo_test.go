package devcluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// served is the demo session's record of a hook: its user and how it ran.
type served struct {
	UserID      string            `json:"user_id"`
	UserName    string            `json:"user_name"`
	URL         string            `json:"url"`
	Session     string            `json:"session"`
	Environment map[string]string `json:"environment"`
	Via         string            `json:"via"`
}

const hostile = "O'Brien \"$(touch /tmp/owned)\" `id` <script>alert(1)</script>\n\\ ${node.datacenter} & 🎭"

// inside runs commands in the demo session's task.
type inside struct {
	client *api.Client
	alloc  *api.Allocation
}

// Exec implements hook.Execer.
func (i inside) Exec(ctx context.Context, _ staging.Session, _ string, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	return i.client.Allocations().Exec(ctx, i.alloc, "session", false, cmd, stdin, stdout, stderr, nil, nil)
}

// hook runs one of the demo session's hooks as greenroom does and returns its exit status.
func (i inside) hook(t *testing.T, program, name string, variables map[string]string) int {
	t.Helper()
	h := staging.Hook{Cmd: []string{program, name}, Timeout: staging.Duration(time.Minute)}
	result, err := hook.Runner{Exec: i}.Run(t.Context(), staging.Session{}, staging.HookName(name), h, hook.Input{Variables: variables})
	var failed *hook.FailedError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return result.ExitCode
}

func TestDemoSession(t *testing.T) {
	c := shared.Cluster(t)
	client := nomadClient(t, c)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	binary, err := devcluster.DemoBinary(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range []struct{ name, spec, dc, variable, value, program string }{
		{"docker", jobspecs.DemoDocker, "dc1", "image", "", "/demo-session"},
		{"raw_exec", jobspecs.DemoRawExec, "dc2", "command", binary, binary},
	} {
		t.Run(driver.name, func(t *testing.T) {
			if driver.name == "docker" {
				devtest.Docker(t)
				if driver.value, err = devcluster.BuildDemoImage(ctx); err != nil {
					t.Fatal(err)
				}
			}
			id := "demo-" + driver.name
			spec := strings.Replace(driver.spec, `"demo"`, fmt.Sprintf("%q", "service-"+driver.dc), -1)
			runJob(t, client, spec, id, driver.dc, map[string]string{driver.variable: driver.value, "warmup": "2s", "record": "K,THEME", "version": "v7"})
			alloc := running(t, client, id)
			// While the session warms up, it serves its page and reports that it is unhealthy.
			eventually(t, "the page", func() error { _, err := get(address(alloc)); return err })
			resp, err := web.Get(address(alloc) + "/health")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("health while warming up: %s, want 503", resp.Status)
			}
			page, err := get(address(alloc))
			if err != nil || !strings.Contains(page, "In the green room") {
				t.Errorf("the page of an unassigned session: %v\n%s", err, page)
			}
			if body, err := get(address(alloc) + "/served"); err != nil || strings.TrimSpace(body) != "[]" {
				t.Errorf("the record of an unassigned session: %q, %v", body, err)
			}
			eventually(t, "health", func() error { _, err := get(address(alloc) + "/health"); return err })
			eventually(t, "the check in Consul", func() error {
				if n, err := passing(c, "service-"+driver.dc); err != nil || n != 1 {
					return fmt.Errorf("%d instances pass: %w", n, err)
				}
				return nil
			})

			want := served{
				UserID: "u-1", UserName: hostile, URL: "https://example.org/?a=1&b='2'", Session: id,
				Environment: map[string]string{"K": "V'\n"}, Via: "hook",
			}
			session := inside{client, alloc}
			if code := session.hook(t, driver.program, "assign", map[string]string{
				"GREENROOM_USER_ID": want.UserID, "GREENROOM_USER_NAME": want.UserName, "GREENROOM_URL": want.URL,
				"GREENROOM_SESSION_ID": want.Session, "K": "V'\n",
			}); code != 0 {
				t.Fatalf("assign: exit status %d", code)
			}
			var got []served
			body, err := get(address(alloc) + "/served")
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]served{want}, got); diff != "" {
				t.Errorf("the session's own record (-want +got):\n%s", diff)
			}
			page, err = get(address(alloc))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(page, "<script") || !strings.Contains(html.UnescapeString(page), "Hello, "+hostile+"!") {
				t.Errorf("the page does not greet its user by the exact name:\n%s", page)
			}

			hookRuns(t, session, driver.program, want)
			healthOnDemand(t, client, alloc)
		})
	}
}

// hookRuns checks the demo session's other hooks: they are in a separate list, the page
// shows the last URL, and the session's user does not change.
func hookRuns(t *testing.T, session inside, program string, user served) {
	t.Helper()
	const next = "https://example.org/next?a=<b>"
	for _, run := range []struct {
		hook, fail string
		code       int
	}{
		{"first-launch", "", 0},
		{"go", "", 0},
		{"first-launch", "DEMO_FAIL_FIRST_LAUNCH", 5},
		{"assign", "DEMO_FAIL_ASSIGN", 7},
		{"go", "DEMO_FAIL_GO", 9},
	} {
		variables := map[string]string{
			"GREENROOM_USER_ID": user.UserID, "GREENROOM_USER_NAME": user.UserName, "GREENROOM_SESSION_ID": user.Session, "GREENROOM_URL": next,
		}
		if run.fail != "" {
			variables[run.fail] = strconv.Itoa(run.code)
		}
		if code := session.hook(t, program, run.hook, variables); code != run.code {
			t.Errorf("%s: exit status %d, want %d", run.hook, code, run.code)
		}
	}
	list := func(path string) []served {
		body, err := get(address(session.alloc) + path)
		if err != nil {
			t.Fatal(err)
		}
		var all []served
		if err := json.Unmarshal([]byte(body), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := []served{
		user,
		{Session: user.Session, Via: "first_launch"},
		{UserID: user.UserID, UserName: user.UserName, URL: next, Session: user.Session, Via: "go"},
	}
	if diff := cmp.Diff(want, list("/hooks")); diff != "" {
		t.Errorf("the hooks that ran (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]served{user}, list("/served")); diff != "" {
		t.Errorf("the users after other hooks (-want +got):\n%s", diff)
	}
	page, err := get(address(session.alloc))
	if err != nil || !strings.Contains(html.UnescapeString(page), "<dd>"+next+"</dd>") || strings.Contains(page, next) || !strings.Contains(page, "<dd>v7</dd>") {
		t.Errorf("the page lacks the last URL or the version as text: %v\n%s", err, page)
	}
	if body, err := get(address(session.alloc) + "/version"); err != nil || body != "v7\n" {
		t.Errorf("the version: %q, %v", body, err)
	}
}

// healthOnDemand checks that the session is unhealthy while a certain file exists.
func healthOnDemand(t *testing.T, client *api.Client, alloc *api.Allocation) {
	t.Helper()
	for _, step := range []struct {
		script string
		status int
	}{{`: > "$NOMAD_TASK_DIR/unhealthy"`, http.StatusServiceUnavailable}, {`rm "$NOMAD_TASK_DIR/unhealthy"`, http.StatusOK}} {
		eventually(t, step.script, func() error {
			if _, out := execute(t, client, alloc, step.script+"\n", "/bin/sh"); out != "" {
				t.Log(out)
			}
			resp, err := web.Get(address(alloc) + "/health")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != step.status {
				return fmt.Errorf("health: %s, want %d", resp.Status, step.status)
			}
			return nil
		})
	}
}
