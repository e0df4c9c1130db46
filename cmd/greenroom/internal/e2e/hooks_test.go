package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// hookRun is one line of the record that a demo session keeps of its hooks.
type hookRun struct {
	Via      string
	UserName string `json:"user_name"`
	URL      string
}

// hooksRun reads a demo session's own record of its hooks.
func hooksRun(t *testing.T, l launched) []hookRun {
	t.Helper()
	var all []hookRun
	must(t, json.Unmarshal([]byte(get(t, l.page()+"/hooks")), &all))
	return all
}

func demo(arguments ...string) []string {
	return append([]string{filepath.Join(bin, "demo-session")}, arguments...)
}

// TestFirstLaunchRunsOnceBeforeAnybodyHasTheSession, staged and on demand.
func TestFirstLaunchRunsOnceBeforeAnybodyHasTheSession(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("first")
	image.ExecConfig.FirstLaunch = &staging.Hook{Cmd: demo("first-launch")}
	d.stage(t, image, 1)
	d.untilReady(t, "first", 1)
	for zone, want := range map[string][]string{"east": {"first_launch", "hook"}, "west": {"first_launch"}} {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("first", zone, "erin"), 201, &l)
		var via []string
		for _, h := range hooksRun(t, l) {
			via = append(via, h.Via)
		}
		if !slices.Equal(via, want) {
			t.Errorf("%s: hooks that ran: %v, want %v", l.Origin, via, want)
		}
	}
}

// TestGoShowsTheURLInTheSessionThatTheUserHas, once per key, however often it is repeated.
func TestGoShowsTheURLInTheSessionThatTheUserHas(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("going")
	image.ExecConfig.Go = &staging.Hook{Cmd: demo("go")}
	d.stage(t, image, 1)
	d.untilReady(t, "going", 1)
	body := func(url string) map[string]any {
		return launchWith("going", "east", "fay", map[string]any{"url": url})
	}
	var first, second, again launched
	d.ask(t, "POST", "/v1/sessions", body("https://example.org/1"), 201, &first)
	d.ask(t, "POST", "/v1/sessions", body("https://example.org/2"), 200, &second, "Idempotency-Key", t.Name())
	d.ask(t, "POST", "/v1/sessions", body("https://example.org/2"), 200, &again, "Idempotency-Key", t.Name())
	if second.ID != first.ID || again.ID != first.ID || second.Token != first.Token || second.Attempts[0].Step != "existing" {
		t.Errorf("sessions %s, %s, %s; attempts %v", first.ID, second.ID, again.ID, second.Attempts)
	}
	runs := hooksRun(t, first)
	if len(runs) != 2 || runs[0].Via != "hook" || runs[1].Via != "go" || runs[1].URL != "https://example.org/2" || runs[1].UserName != "fay" {
		t.Errorf("hooks that ran: %+v", runs)
	}
	// Another user, and no URL: a session of their own.
	var other launched
	d.ask(t, "POST", "/v1/sessions", launchWith("going", "east", "gil", map[string]any{"url": "https://example.org/3"}), 201, &other)
	if other.ID == first.ID {
		t.Error("another user was given fay's session")
	}
}

// TestTokensReachAHookAsData.
func TestTokensReachAHookAsData(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("tokens")
	image.Variables["record"] = "TOLD"
	// The program prints its last argument, which is the name.
	image.ExecConfig.Assign = &staging.Hook{
		Cmd:         append([]string{"/bin/sh", "-c", `TOLD="$TOLD $1" exec "$2" assign`, "x", "{username}"}, demo()...),
		Environment: map[string]string{"TOLD": "{user_id} {image} {zone} {url} {session_id}"},
	}
	d.stage(t, image, 1)
	d.untilReady(t, "tokens", 1)
	name := "a'b\"$(id)`id`; {user_id}\n😀"
	var l launched
	d.ask(t, "POST", "/v1/sessions", map[string]any{
		"image": "tokens", "zone": "east", "user": map[string]string{"id": "u-1", "name": name}, "url": "https://example.org/?a={zone}",
	}, 201, &l)
	want := fmt.Sprintf("u-1 tokens east https://example.org/?a={zone} %s %s", l.ID, name)
	if got := record(t, l); l.Origin != "staged" || len(got) != 1 || got[0].Environment["TOLD"] != want {
		t.Errorf("%s, told %+v, want %q", l.Origin, got, want)
	}
}

// TestAHookRunsAsItsUser inside the container, or fails with a clear error.
func TestAHookRunsAsItsUser(t *testing.T) {
	d := sharedDev(t)
	image := d.dockerImage(t, "as-user")
	image.ExecConfig.Assign = &staging.Hook{Cmd: []string{"/bin/sh", "-c", `id -u > "$NOMAD_TASK_DIR/as"; echo "$GREENROOM_USER_NAME" >> "$NOMAD_TASK_DIR/as"`}, User: "demo"}
	d.stage(t, image, 1)
	d.untilReady(t, "as-user", 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("as-user", "east", "hugo"), 201, &l)
	if l.Origin != "staged" {
		t.Fatalf("%+v", l.Attempts)
	}
	if got := d.inside(t, l.ID, `cat "$NOMAD_TASK_DIR/as"`); got != "1000\nhugo" {
		t.Errorf("the hook ran as %q", got)
	}
	image.ExecConfig.Assign.User = "nobody-here"
	d.ask(t, "PUT", "/v1/images/as-user", image, 200, nil)
	until(t, "the pool is of the new revision", func() (bool, string) {
		d.untilReady(t, "as-user", 1)
		now := d.passing(t, "as-user")
		s := d.session(t, now[len(now)-1])
		return s.Revision != l.Revision && s.State == "ready", s.Revision
	})
	d.ask(t, "POST", "/v1/sessions", launch("as-user", "east", "ida"), 201, &l)
	if a := l.Attempts[0]; a.Outcome != "failed" || !strings.Contains(a.Reason, "nobody-here") {
		t.Errorf("%+v", l.Attempts)
	}
}

// TestAHookFieldThatCannotBeHonouredIsRefused when the image is stored.
func TestAHookFieldThatCannotBeHonouredIsRefused(t *testing.T) {
	d := sharedDev(t)
	for field, hook := range map[string]string{
		"exec_config.assign.privileged": `{"assign":{"cmd":["x"],"privileged":true}}`,
		"exec_config.restart":           `{"restart":{"cmd":["x"]}}`,
		"exec_config.assign.cmd[1]":     `{"assign":{"cmd":["x","{nobody}"]}}`,
	} {
		var p struct{ Errors []staging.FieldError }
		body := fmt.Sprintf(`{"jobspec":"job \"x\" {}","exec_config":%s}`, hook)
		r, err := d.call("PUT", "/v1/images/unhonoured", body)
		must(t, err)
		must(t, json.Unmarshal(r.body, &p))
		// What is wrong with the jobspec may be named beside it.
		p.Errors = slices.DeleteFunc(p.Errors, func(e staging.FieldError) bool { return e.Field == "jobspec" })
		if r.status < 400 || r.status > 422 || len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: %d %s", field, r.status, r.body)
		}
	}
	d.ask(t, "GET", "/v1/images/unhonoured", nil, 404, nil)
}

// TestAFailingAssignHookIsToldByTheConditionAndTheEvent: exit code, last line, output.
func TestAFailingAssignHookIsToldByTheConditionAndTheEvent(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("hookless")
	image.ExecConfig.Assign.Cmd = []string{"/bin/sh", "-c", "echo said on stdout; echo no desktop here >&2; exit 7"}
	d.stage(t, image, 4)
	d.untilReady(t, "hookless", 4)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("hookless", "east", "jan"), 201, &l)
	if l.Origin != "on_demand" {
		t.Errorf("%+v", l.Attempts)
	}
	d.untilCondition(t, "hookless", staging.HookFailing, "exit code 7: no desktop here")
	events := slices.DeleteFunc(d.noted(t, staging.EventHookFailed), func(e map[string]any) bool { return e["image"] != "hookless" })
	if len(events) < 3 || events[0]["stdout"] != "said on stdout\n" || events[0]["stderr"] != "no desktop here\n" || events[0]["hook"] != "assign" {
		t.Errorf("events: %v", events)
	}
}

// TestAHookThatFailedOnceIsARemark: with what it wrote, and nothing is an alarm.
func TestAHookThatFailedOnceIsARemark(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("unlucky")
	image.ExecConfig.Assign.Cmd = []string{"/bin/sh", "-c", "echo no desktop today >&2; exit 7"}
	d.stage(t, image, 1)
	d.untilReady(t, "unlucky", 1)
	d.ask(t, "POST", "/v1/sessions", launch("unlucky", "east", "jan"), 201, nil)
	until(t, "status has the remark, and no reason", func() (bool, string) {
		var now struct{ Remarks, Reasons []string }
		r := d.ask(t, "GET", "/v1/status", nil, 200, &now)
		text := strings.Join(now.Remarks, "\n")
		return strings.Contains(text, "staging config unlucky: a session was destroyed instead of given to its user, 1 in a row: ") &&
			strings.Contains(text, "no desktop today") && !strings.Contains(strings.Join(now.Reasons, "\n"), "HookFailing"), string(r.body)
	})
}

// TestAFailingFirstLaunchKeepsTheSessionFromEverybody.
func TestAFailingFirstLaunchKeepsTheSessionFromEverybody(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("stillborn")
	image.ExecConfig.FirstLaunch = &staging.Hook{Cmd: []string{"/bin/sh", "-c", "echo cannot prepare >&2; exit 9"}}
	d.stage(t, image, 1)
	d.untilCondition(t, "stillborn", staging.HookFailing, "exit code 9: cannot prepare")
	var p struct{ Code, Detail string }
	d.ask(t, "POST", "/v1/sessions", launch("stillborn", "west", "kim"), 503, &p)
	if p.Code != "launch_failed" || !strings.Contains(p.Detail, "cannot prepare") {
		t.Errorf("%+v", p)
	}
}
