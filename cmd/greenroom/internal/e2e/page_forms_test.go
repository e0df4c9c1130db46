package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// enter enters a value into the field of a form that has a path in the resource.
func (p *tab) enter(path, value string) {
	p.t.Helper()
	until(p.t, "there is a field "+path, func() (bool, string) {
		return eval[bool](p, `((path, value) => {
			const e = document.querySelector('dialog [name="' + CSS.escape(path) + '"]');
			if (e) { e.value = value; e.dispatchEvent(new Event('input', {bubbles: true})); }
			return e?.value === value;
		})(%s, %s)`, path, value), p.fieldNames()
	})
}

func (p *tab) fieldNames() string {
	p.t.Helper()
	return eval[string](p, `[...document.querySelectorAll('dialog [name]')].map(e => e.name).join(' ')`)
}

// wrongs returns the errors that a form shows, by the paths of the fields at which they are
// visible, and the path of the field that has the focus. Screen readers read an error with its
// field.
func (p *tab) wrongs() (wrong map[string]string, focus string) {
	p.t.Helper()
	wrong = eval[map[string]string](p, `Object.fromEntries([...document.querySelectorAll('dialog [aria-invalid=true]')].map((e) => {
		const said = e.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id)).find((n) => n.className === 'wrong');
		return [e.name || e.ariaLabel, said.checkVisibility() ? said.innerText : 'not visible'];
	}))`)
	return wrong, eval[string](p, `document.activeElement.name ?? ''`)
}

// untilWrong waits until a form shows errors that begin so, at these fields and no others, and
// requires that the first has the focus.
func (p *tab) untilWrong(first string, want map[string]string) {
	p.t.Helper()
	until(p.t, "each error is at its field", func() (bool, string) {
		wrong, focus := p.wrongs()
		for path, begins := range want {
			if !strings.HasPrefix(wrong[path], begins) {
				return false, fmt.Sprintf("no %q at %s in %q; the page shows\n%s", begins, path, wrong, p.text())
			}
		}
		return len(wrong) == len(want) && focus == first, fmt.Sprintf("%q, and the focus is at %s", slices.Collect(maps.Keys(wrong)), focus)
	})
}

// saved waits until a form is stored and closed.
func (p *tab) saved(words string) {
	p.t.Helper()
	p.press("Save")
	p.shows(words)
	until(p.t, "the form is closed", func() (bool, string) { return !eval[bool](p, "Boolean(document.querySelector('dialog'))"), p.text() })
}

// stored returns a resource as its bytes in Consul.
func (d *devProcess) stored(t *testing.T, kind, name string) string {
	t.Helper()
	r, err := http.Get(d.Consul + "/v1/kv/greenroom/resources/" + kind + "/" + name + "?raw")
	must(t, err)
	defer r.Body.Close()
	if r.StatusCode != 200 {
		t.Fatalf("%s %s in Consul: %s", kind, name, r.Status)
	}
	var raw json.RawMessage
	must(t, json.NewDecoder(r.Body).Decode(&raw))
	return string(raw)
}

// TestASchedulesFormShowsEveryErrorAtItsField: a config's schedule and permissions are filled in
// wrong in several ways, mended at their fields, stored, and stored again unchanged.
func TestASchedulesFormShowsEveryErrorAtItsField(t *testing.T) {
	d := sharedDev(t)
	d.store(t, quickImage("formed"))
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/staging/formed-east", "") })
	p := openLoggedIn(t, d)
	p.press("New staging config")
	p.enter("name", "formed-east")
	p.enter("zone", "east")
	p.enter("image", "formed")
	p.enter("desired_sessions", "none")
	p.enter("expiration", "soon")
	p.enter("max_unavailable", "120%")
	p.enter("spread", "racks")
	p.press("Schedule")
	p.press("Add period")
	p.enter("schedule[0].cron", "45 12 * * MON-FRI")
	p.enter("schedule[0].time_zone", "Europe/Berlin")
	p.enter("schedule[0].duration", "30m")
	p.enter("schedule[0].desired_sessions", "2")
	p.press("Add period")
	p.enter("schedule[1].cron", "at noon")
	p.enter("schedule[1].time_zone", "Europe/Atlantis")
	p.enter("schedule[1].duration", "1s")
	p.enter("schedule[1].desired_sessions", "-3")
	p.press("Add period")
	p.enter("schedule[2].duration", "for a while")
	p.press("Schedule") // is closed, and must be opened for its errors
	p.press("Save")
	// What the page cannot read, what the broker cannot, and what breaks a rule, in one answer.
	p.untilWrong("desired_sessions", map[string]string{
		"desired_sessions": "must be a number", "expiration": "must be a duration", "max_unavailable": "must be a number from 1", "spread": "must be a property of nodes",
		"schedule[1].cron": "must be minute, hour", "schedule[1].time_zone": "must be an IANA time zone", "schedule[1].duration": "must be between 1m and",
		"schedule[1].desired_sessions": "must be between 0 and", "schedule[2].cron": "must be minute, hour", "schedule[2].duration": "must be a duration",
		"schedule[2].desired_sessions": "is required",
	})
	p.pictures("form-schedule-wrong")
	p.press("Remove Period 3")
	p.shows("Remove Period 3?")
	p.press("Remove")
	p.enter("desired_sessions", "1")
	p.enter("expiration", "24h")
	p.enter("max_unavailable", "50%")
	p.enter("spread", "${meta.rack}")
	p.enter("distinct_hosts", "true")
	p.enter("schedule[1].cron", "0 1 * * *")
	p.enter("schedule[1].time_zone", "")
	p.enter("schedule[1].duration", "1h30m")
	p.press("Save")
	p.untilWrong("schedule[1].desired_sessions", map[string]string{"schedule[1].desired_sessions": "must be between 0 and"})
	p.enter("schedule[1].desired_sessions", "3")

	// The same as JSON: what is changed there is in the rows again.
	p.press("Permissions")
	p.enter("permissions.allow_audio", "false")
	p.press("What users may do: as JSON")
	p.enter("permissions", `{"allow_audio": false, "allow_telepathy": true`)
	p.press("What users may do: as rows")
	p.untilWrong("permissions", map[string]string{"permissions": "is not JSON"})
	p.enter("permissions", `{"allow_audio": false, "allow_telepathy": true, "allow_webcam": true}`)
	p.press("Save")
	p.untilWrong("permissions", map[string]string{"permissions": "allow_telepathy is not a field here"})
	p.enter("permissions", `{"allow_audio": false, "allow_webcam": true}`)
	p.press("What users may do: as rows")
	p.enter("permissions.allow_printing", "true")
	p.saved("Staging config formed-east is saved.")

	var c staging.Config
	must(t, json.Unmarshal([]byte(d.stored(t, "staging", "formed-east")), &c))
	parsed := func(text string) staging.Duration {
		duration, err := staging.ParseDuration(text)
		must(t, err)
		return duration
	}
	want := staging.Config{
		Name: "formed-east", Zone: "east", Image: "formed", DesiredSessions: 1, Expiration: parsed("24h"), MaxUnavailable: "50%", Spread: "${meta.rack}", DistinctHosts: true,
		Permissions: staging.Permissions{staging.AllowAudio: false, staging.AllowWebcam: true, staging.AllowPrinting: true},
		Schedule: []staging.Schedule{
			{Cron: "45 12 * * MON-FRI", TimeZone: "Europe/Berlin", Duration: parsed("30m"), DesiredSessions: 2},
			{Cron: "0 1 * * *", Duration: parsed("1h30m"), DesiredSessions: 3},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +stored):\n%s", diff)
	}
	before := d.stored(t, "staging", "formed-east")
	p.press("Edit formed-east")
	p.shows("Period 2")
	p.pictures("form-schedule")
	p.saved("Staging config formed-east is saved.")
	if after := d.stored(t, "staging", "formed-east"); after != before {
		t.Errorf("a form that changed nothing stored\n%s, was\n%s", after, before)
	}
}

// TestAnImagesFormShowsEveryErrorAtItsField: the same for variables, hooks and volumes. What the
// rows do not know stays, a form with changes asks before it closes, and the group's form has
// the same rows.
func TestAnImagesFormShowsEveryErrorAtItsField(t *testing.T) {
	d := sharedDev(t)
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/images/filled", "") })
	p := openLoggedIn(t, d)
	p.press("Images")
	p.press("New image")
	p.enter("name", "filled")
	p.enter("jobspec", "variable \"port\" {}\n"+jobspecs.DemoMock)
	p.press("Add variable")
	p.fill("Name of variable 1", "port")
	p.fill("Value of variable 1", "8080")
	p.press("Add variable")
	p.fill("Name of variable 2", "9x")
	p.press("Add variable")
	p.fill("Name of variable 3", "port")
	p.press("Hooks")
	p.press("Add Assign hook")
	p.enter("exec_config.assign.timeout", "1h")
	p.enter("exec_config.assign.user", "no one")
	p.press("Add environment variable")
	p.fill("Name of environment variable 1", "NOMAD_TOKEN")
	p.press("More")
	p.press("Add volume mapping")
	p.enter("volume_mappings[0].source", "srv")
	p.enter("volume_mappings[0].target", "/")
	p.enter("allowed_groups", "nobody-has-it")
	p.enter("restrict_to_zones", "east, atlantis")
	p.enter("run_config", "{")
	p.enter("patience.start", "a minute")
	p.press("Save")
	p.untilWrong("variables.9x", map[string]string{
		"variables.9x": "is not a name for an HCL variable", "variables.9x.name": "is not a name for an HCL variable", "variables.port.name": "has the name port like another",
		"exec_config.assign.cmd[0]": "must name a program", "exec_config.assign.timeout": "must be between 0s and", "exec_config.assign.user": "must be a user name",
		"exec_config.assign.environment.NOMAD_TOKEN": "begins with NOMAD_", "exec_config.assign.environment.NOMAD_TOKEN.name": "begins with NOMAD_",
		"volume_mappings[0].source": "must be an absolute path", "volume_mappings[0].target": "must be an absolute path",
		"allowed_groups": `"nobody-has-it" is unknown`, "restrict_to_zones": `"atlantis" is unknown`, "run_config": "is not JSON", "patience.start": "must be a duration",
	})
	p.pictures("form-image-wrong")
	p.press("Remove variable 3")
	p.press("Remove")
	p.fill("Name of variable 2", "greeting")
	p.fill("Value of variable 2", "two\nlines")
	p.enter("jobspec", "variable \"port\" {}\nvariable \"greeting\" {}\n"+jobspecs.DemoMock)
	p.enter("exec_config.assign.timeout", "5s")
	p.enter("exec_config.assign.user", "")
	p.enter("exec_config.assign.cmd[0]", "/bin/sh")
	for i, argument := range []string{"-c", "echo \"$1\"\n ", "", "{username}"} {
		p.press("Add argument")
		p.enter(fmt.Sprintf("exec_config.assign.cmd[%d]", i+1), argument)
	}
	p.fill("Name of environment variable 1", "TOKEN")
	p.fill("Value of environment variable 1", "a secret")
	p.press("Remove Volume mapping 1")
	p.press("Remove")
	p.enter("allowed_groups", "")
	p.enter("restrict_to_zones", "east")
	p.enter("run_config", "")
	p.enter("patience.start", "90s")
	p.enter("exec_config.assign.task", "elsewhere")
	p.press("Save")
	p.untilWrong("exec_config.assign.task", map[string]string{"exec_config.assign.task": "is not a task of the jobspec"})
	p.enter("exec_config.assign.task", "")
	p.saved("The image filled is saved.")

	var i staging.Image
	must(t, json.Unmarshal([]byte(d.stored(t, "images", "filled")), &i))
	if diff := cmp.Diff(map[string]string{"port": "8080", "greeting": "two\nlines"}, i.Variables); diff != "" {
		t.Errorf("variables (-want +stored):\n%s", diff)
	}
	five, err := staging.ParseDuration("5s")
	must(t, err)
	hook := &staging.Hook{Cmd: []string{"/bin/sh", "-c", "echo \"$1\"\n ", "", "{username}"}, Environment: map[string]string{"TOKEN": "a secret"}, Timeout: five}
	if diff := cmp.Diff(staging.ExecConfig{Assign: hook}, i.ExecConfig); diff != "" {
		t.Errorf("hooks (-want +stored):\n%s", diff)
	}

	// Line ends, spaces and what else an input would change stay as they are.
	i.Jobspec = strings.ReplaceAll(i.Jobspec, "\n", "\r\n")
	i.RunConfig = map[string]any{"run_for": "1h"}
	d.ask(t, "PUT", "/v1/images/filled", i, 200, nil)
	before := d.stored(t, "images", "filled")
	p.press("Edit filled")
	p.shows("Argument 4")
	p.pictures("form-image")
	p.saved("The image filled is saved.")
	if after := d.stored(t, "images", "filled"); after != before {
		t.Errorf("a form that changed nothing stored\n%s, was\n%s", after, before)
	}

	// A form with changes asks before they are lost, at Escape as well.
	p.press("Edit filled")
	p.press("Remove Assign hook")
	p.press("Remove")
	until(t, "the hook is removed", func() (bool, string) { return p.has("Add Assign hook"), p.text() })
	must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Escape)))
	p.shows("Discard the changes?")
	p.press("Cancel")
	until(t, "the form is as it was left", func() (bool, string) { return p.has("Add Assign hook"), p.text() })
	p.press("Cancel")
	p.press("Discard")
	if after := d.stored(t, "images", "filled"); after != before {
		t.Errorf("a form that was left stored\n%s", after)
	}
}

// TestAHiddenValueStaysWhenItIsNotChanged: one that is (hidden) in a form, as a file that an
// operator without rights was shown has it, keeps what is stored.
func TestAHiddenValueStaysWhenItIsNotChanged(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("veiled")
	image.Jobspec = "variable \"key\" {}\nvariable \"port\" {}\n" + image.Jobspec
	image.Variables["key"], image.Variables["port"] = "sesame", "1"
	image.ExecConfig.Assign = nil
	image.ExecConfig.Go = &staging.Hook{Cmd: []string{"/bin/open", "--key", "sesame"}}
	d.store(t, image)
	p := openLoggedIn(t, d)
	p.press("Images")
	p.press("Edit veiled")
	p.enter("variables.key", staging.Hidden)
	p.enter("variables.port", "2")
	p.enter("exec_config.go.cmd[2]", staging.Hidden)
	p.saved("The image veiled is saved.")
	var i staging.Image
	must(t, json.Unmarshal([]byte(d.stored(t, "images", "veiled")), &i))
	if i.Variables["key"] != "sesame" || i.Variables["port"] != "2" || i.ExecConfig.Go.Cmd[2] != "sesame" {
		t.Errorf("stored %v, %v", i.Variables, i.ExecConfig.Go)
	}
	p.press("Edit veiled")
	p.enter("exec_config.go.cmd[2]", staging.Hidden)
	p.press("Add argument")
	p.enter("exec_config.go.cmd[3]", "{url}")
	p.press("Save")
	p.untilWrong("exec_config.go.cmd[2]", map[string]string{"exec_config.go.cmd[2]": "is (hidden), which keeps what is stored"})
}

// TestWhatAFormDoesNotKnowStays: fields of a later version, in a row that is changed and beside
// one that is removed. What rows cannot show is shown as JSON.
func TestWhatAFormDoesNotKnowStays(t *testing.T) {
	d := sharedDev(t)
	p := openLoggedIn(t, d)
	read := func(shape, value, change string) string {
		t.Helper()
		eval[bool](p, `((shape, value) => {
			window.kept = '';
			Promise.all([import('./rows.js'), import('./shapes.js')]).then(([{ editor }, shapes]) => {
				const e = editor(shapes[shape], JSON.parse(value));
				e.at(shape);
				const at = (name) => e.node.querySelector('[name="' + name + '"]');
				`+change+`;
				window.kept = JSON.stringify(e.read({ skip: new Set(), wrong: (path, message) => { throw new Error(path + ' ' + message); } }));
			});
			return true;
		})(%s, %s)`, shape, value)
		until(t, "the editor is read", func() (bool, string) { return eval[string](p, "window.kept") != "", p.text() })
		return eval[string](p, "window.kept")
	}
	for _, c := range []struct{ shape, value, change, want string }{
		{
			"schedule", `[{"later":[1],"cron":"0 1 * * *","duration":"1h"},{"cron":"0 2 * * *","later":{"a":null},"duration":"2h"}]`, `at('schedule[1].cron').value = '0 3 * * *'`,
			`[{"later":[1],"cron":"0 1 * * *","duration":"1h"},{"cron":"0 3 * * *","later":{"a":null},"duration":"2h"}]`,
		},
		{
			"hooks", `{"later":{"cmd":["x"]},"assign":{"cmd":["a"],"shell":true}}`, `at('hooks.assign.cmd[0]').value = 'b'`,
			`{"later":{"cmd":["x"]},"assign":{"cmd":["b"],"shell":true}}`,
		},
		{"permissions", `{"allow_later":true}`, `at('permissions.allow_audio').value = 'false'`, `{"allow_later":true,"allow_audio":false}`},
		{"variables", `{"__proto__":"x","a.b[0]":" y ","c":""}`, ``, `{"__proto__":"x","a.b[0]":" y ","c":""}`},
		{"variables", `{"typed":{"in":"a later version"}}`, `if (at('variables').localName !== 'textarea') throw new Error('is not shown as JSON')`, `{"typed":{"in":"a later version"}}`},
	} {
		if got := read(c.shape, c.value, c.change); got != c.want {
			t.Errorf("%s %s became %s", c.shape, c.value, got)
		}
	}
}

// TestASaveDoesNotOverwriteWhatIsNewer: a form that is saved after somebody else has changed the
// resource says which fields are changed and stores nothing; saved again, it replaces them.
func TestASaveDoesNotOverwriteWhatIsNewer(t *testing.T) {
	d := sharedDev(t)
	d.store(t, quickImage("newer"))
	config := staging.Config{Name: "newer", Zone: "east", Image: "newer", Expiration: staging.Duration(time.Hour)}
	d.ask(t, "PUT", "/v1/staging/newer", config, 201, nil)
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/staging/newer", "") })
	p := openLoggedIn(t, d)
	p.press("Edit newer")
	p.enter("max_unavailable", "50%")
	config.Expiration = staging.Duration(2 * time.Hour)
	d.ask(t, "PUT", "/v1/staging/newer", config, 200, nil)
	before := d.stored(t, "staging", "newer")
	p.press("Save")
	p.shows("newer was changed since this form was opened (expiration)", "nothing is saved")
	p.pictures("form-changed-meanwhile")
	if after := d.stored(t, "staging", "newer"); after != before {
		t.Errorf("it stored\n%s, was\n%s", after, before)
	}
	p.saved("Staging config newer is saved.")
	if after := d.stored(t, "staging", "newer"); !strings.Contains(after, `"50%"`) || !strings.Contains(after, `"1h0m0s"`) {
		t.Errorf("saved again, it stored %s", after)
	}

	// The same for another kind.
	p.press("Groups")
	d.ask(t, "PUT", "/v1/groups/newer", staging.Group{Priority: 9}, 201, nil)
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/groups/newer", "") })
	p.press("Edit newer")
	p.enter("priority", "8")
	d.ask(t, "PUT", "/v1/groups/newer", staging.Group{Priority: 7}, 200, nil)
	p.press("Save")
	p.shows("newer was changed since this form was opened (priority)")
}

// TestThePageWarnsOfWhatMeansNothing: an image whose jobspec has a spread is stored, and the page
// says that it has no effect.
func TestThePageWarnsOfWhatMeansNothing(t *testing.T) {
	d := sharedDev(t)
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/images/void", "") })
	p := openLoggedIn(t, d)
	p.press("Images")
	p.press("New image")
	p.enter("name", "void")
	p.enter("jobspec", strings.Replace(jobspecs.DemoMock, "  group ", "  spread {\n    attribute = \"${node.datacenter}\"\n  }\n\n  group ", 1))
	p.press("Save")
	p.shows("The image void is saved.", `Warning: image "void": jobspec: the spread of the job has no effect`)
}
