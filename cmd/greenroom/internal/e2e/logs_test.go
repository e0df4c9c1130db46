package e2e

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// logLines returns an agent's log lines. Each must be JSON with fields of logfield alone.
func logLines(t *testing.T, a *agent) []map[string]any {
	t.Helper()
	known := append([]string{logrus.FieldKeyTime, logrus.FieldKeyLevel, logrus.FieldKeyMsg, logrus.ErrorKey}, logfield.All...)
	var all []map[string]any
	text := a.Log.String()
	// The last line may be incomplete.
	for line := range strings.Lines(text[:strings.LastIndex(text, "\n")+1]) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		for f := range fields {
			if !slices.Contains(known, f) {
				t.Errorf("field %s is not in internal/logfield: %s", f, line)
			}
		}
		all = append(all, fields)
	}
	return all
}

// TestARequestIsFollowedByItsID: its id is in the broker's lines, in the hook, in the claim's
// event and in the scaler's lines. All lines have fields of logfield alone.
func TestARequestIsFollowedByItsID(t *testing.T) {
	c, d := startServers(t, []string{"dc1"}, "--log-format", "json", "--log-level", "debug")
	s := startAgent(t, c, "scaler", "--log-format", "json", "--log-level", "debug")
	image := quickImage("traced")
	image.ExecConfig.Assign = &staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf %s "$GREENROOM_REQUEST_ID" > "$NOMAD_TASK_DIR/request"`}}
	config := d.stage(t, image, 1)
	d.untilReady(t, "traced", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("traced", "east", "alice"), 201, &l, "X-Request-Id", "from-the-portal-1")
	if got := d.inside(t, l.ID, `cat "$NOMAD_TASK_DIR/request"`); got != "from-the-portal-1" {
		t.Errorf("the hook was given request id %q", got)
	}
	// A second launch is on demand, since the pool is empty.
	config.DesiredSessions = 0
	d.ask(t, "PUT", "/v1/staging/traced", config, 200, nil)
	until(t, "the pool is empty", func() (bool, string) { jobs := d.jobs(t, "traced"); return len(jobs) == 1, "" })
	var onDemand launched
	d.ask(t, "POST", "/v1/sessions?wait=60s", launch("traced", "east", "bob"), 201, &onDemand, "X-Request-Id", "from-the-portal-2")

	for session, want := range map[string]struct{ id, event string }{
		l.ID: {"from-the-portal-1", "claimed"}, onDemand.ID: {"from-the-portal-2", "pending"},
	} {
		found := false
		for _, e := range d.events(t) {
			found = found || e["session"] == session && e["type"] == want.event && e["request_id"] == want.id
		}
		if !found {
			t.Errorf("no event %s of %s has request id %s", want.event, session, want.id)
		}
		d.ask(t, "DELETE", "/v1/sessions/"+session, nil, 204, nil)
		of := func(a *agent) func() (bool, string) {
			return func() (bool, string) {
				for _, line := range logLines(t, a) {
					if line[logfield.Session] == session && line[logfield.RequestID] == want.id {
						return true, ""
					}
				}
				return false, ""
			}
		}
		until(t, "the scaler's lines have the request's id", of(s))
		until(t, "the broker's lines have it", of(d.agent))
	}
	for _, line := range logLines(t, s) {
		if line[logfield.Session] == l.ID && line[logfield.Step] == "stage" && line[logfield.RequestID] != nil {
			t.Errorf("a line from before the launch has its request id: %v", line)
		}
	}
}

// TestTheLogLevelChangesWhileAnAgentRuns: SIGHUP reloads the configuration.
func TestTheLogLevelChangesWhileAnAgentRuns(t *testing.T) {
	c, d := startServers(t, []string{"dc1"})
	for _, kind := range []string{"broker", "scaler"} {
		t.Run(kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "greenroom.hcl")
			must(t, os.WriteFile(file, []byte("log_format = \"json\"\n"), 0o644))
			a := startAgent(t, c, kind, "--config", file)
			debugs := func() (n int) {
				for _, line := range logLines(t, a) {
					if line["level"] == "debug" {
						n++
					}
				}
				return n
			}
			hup := func(level, says string) {
				t.Helper()
				must(t, os.WriteFile(file, []byte("log_format = \"json\"\n"+level+"\n"), 0o644))
				before := len(a.Log.String())
				a.Signal(t, syscall.SIGHUP)
				until(t, "it says "+says, func() (bool, string) {
					now := a.Log.String()[before:]
					return strings.Contains(now, says), now
				})
			}
			// Each request logs a line at level debug.
			something := func(pool string) {
				if kind == "broker" {
					res, err := http.Get("http://" + a.Address + "/v1/health/live")
					must(t, err)
					must(t, res.Body.Close())
					return
				}
				d.stage(t, quickImage(pool), 1)
				d.untilReady(t, pool, 1)
			}
			something("before")
			if n := debugs(); n > 0 {
				t.Errorf("%d lines at debug before it was asked for", n)
			}
			hup(`log_level = "debug"`, `"log_level":"debug"`)
			something("debugged")
			until(t, "there are lines at debug", func() (bool, string) { return debugs() > 0, "" })
			hup(`log_level = "loud"`, `must be one of trace, debug, info, warn, error, is \"loud\"`)
			hup("", `"log_level":"info"`)
			n := debugs()
			something("after")
			if now := debugs(); now != n {
				t.Errorf("%d lines at debug after it was ended", now-n)
			}
		})
	}
}

// TestFieldsOfLinesAreListed reads the sources: every log field is a constant of
// internal/logfield.
func TestFieldsOfLinesAreListed(t *testing.T) {
	seen := 0
	for _, dir := range []string{"broker", "scaler", "cmd/greenroom"} {
		for _, name := range sources(t, filepath.Join("../../../..", dir)) {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, 0)
			must(t, err)
			check := func(key ast.Expr) {
				seen++
				if _, literal := key.(*ast.BasicLit); literal {
					t.Errorf("%s: a field of a line is named here; take it from internal/logfield", set.Position(key.Pos()))
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.CallExpr:
					if s, ok := x.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "WithField" && len(x.Args) == 2 {
						check(x.Args[0])
					}
				case *ast.CompositeLit:
					if s, ok := x.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Fields" {
						for _, e := range x.Elts {
							check(e.(*ast.KeyValueExpr).Key)
						}
					}
				case *ast.IndexExpr:
					if s, ok := x.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Data" {
						check(x.Index)
					}
				case *ast.ValueSpec:
					// A constant for a field must be one of logfield.
					for i, name := range x.Names {
						if strings.HasPrefix(name.Name, "field") && i < len(x.Values) {
							check(x.Values[i])
						}
					}
				}
				return true
			})
		}
	}
	if seen < 50 {
		t.Errorf("only %d fields: this test no longer reads them", seen)
	}
}

// sources returns the hand-written Go files below a directory, without tests.
func sources(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, ".gen.go") {
			names = append(names, name)
		}
		return err
	}))
	return names
}
