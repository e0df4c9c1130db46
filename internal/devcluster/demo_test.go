package devcluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/jobspecs"
)

// served is what the demo session says of whom it was given to.
type served struct {
	UserID      string            `json:"user_id"`
	UserName    string            `json:"user_name"`
	URL         string            `json:"url"`
	Session     string            `json:"session"`
	Environment map[string]string `json:"environment"`
	Via         string            `json:"via"`
}

const hostile = "O'Brien \"$(touch /tmp/owned)\" `id` <script>alert(1)</script>\n\\ ${node.datacenter} & 🎭"

// quote is a shell word for any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

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
			runJob(t, client, spec, id, driver.dc, map[string]string{driver.variable: driver.value, "warmup": "2s", "record": "K,THEME"})
			alloc := running(t, client, id)
			// While it warms up it serves, and says that it is not healthy.
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
				t.Errorf("the page of a session that is nobody's: %v\n%s", err, page)
			}
			if body, err := get(address(alloc) + "/served"); err != nil || strings.TrimSpace(body) != "[]" {
				t.Errorf("the record of a session that is nobody's: %q, %v", body, err)
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
			script := fmt.Sprintf("export GREENROOM_USER_ID=%s GREENROOM_USER_NAME=%s GREENROOM_URL=%s GREENROOM_SESSION_ID=%s K=%s\nexec %s assign </dev/null\n",
				quote(want.UserID), quote(want.UserName), quote(want.URL), quote(want.Session), quote("V'\n"), quote(driver.program))
			if code, out := execute(t, client, alloc, script, "/bin/sh"); code != 0 {
				t.Fatalf("assign: exit status %d: %s", code, out)
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
				t.Errorf("the page does not greet its user by the name as it is:\n%s", page)
			}

			if code, out := execute(t, client, alloc, "export DEMO_FAIL_ASSIGN=7 GREENROOM_USER_ID=u-2\nexec "+quote(driver.program)+" assign </dev/null\n", "/bin/sh"); code != 7 {
				t.Errorf("an assign that is to fail with 7: exit status %d: %s", code, out)
			}
		})
	}
}
