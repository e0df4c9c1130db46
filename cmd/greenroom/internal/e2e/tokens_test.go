package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/issuer/issuertest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// guardedBroker starts another broker, which requires a token.
func guardedBroker(t *testing.T, c *devcluster.Cluster, d *devProcess, flags ...string) (*devProcess, *agent) {
	t.Helper()
	b := startAgent(t, c, "broker", append([]string{"--access", "--allow-open-consul"}, flags...)...)
	guarded := &devProcess{readyFile: d.readyFile}
	guarded.Broker = "http://" + b.Address
	return guarded, b
}

// bearer returns the header with a token.
func bearer(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// greenroom runs the command line with a token, and returns what it printed.
func (d *devProcess) greenroom(token string, args ...string) (stdout, stderr string, err error) {
	cmd := command(args...)
	var out, errs buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "GREENROOM_ADDR="+d.Broker, "GREENROOM_TOKEN="+token)
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errs.String(), err
}

// token creates a token with the command line.
func (d *devProcess) token(t *testing.T, admin, role string, flags ...string) (accessor, secret string) {
	t.Helper()
	out, errs, err := d.greenroom(admin, append([]string{"token", "create", "--name", "a " + role, "--role", role, "-o", "json"}, flags...)...)
	if err != nil {
		t.Fatal(err, errs)
	}
	var made struct{ Accessor, Secret string }
	must(t, json.Unmarshal([]byte(out), &made))
	return made.Accessor, made.Secret
}

// untilStatus calls the API with a token until it answers with a status.
func (d *devProcess) untilStatus(t *testing.T, what, token string, want int) {
	t.Helper()
	until(t, what, func() (bool, string) {
		r, err := d.call("GET", "/v1/sessions", "", bearer(token)...)
		must(t, err)
		return r.status == want, fmt.Sprint(r.status, string(r.body))
	})
}

// TestTokensOfSeveralBrokers: bootstrap works once for all brokers, a token that one creates
// or revokes is valid or invalid at the other, and all of it is audited.
func TestTokensOfSeveralBrokers(t *testing.T) {
	c, d := startCluster(t, 0)
	one, _ := guardedBroker(t, c, d)
	other, otherAgent := guardedBroker(t, c, d, "--audit-required", "--log-format", "json")

	var mu sync.Mutex
	var secrets, refusals []string
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			out, errs, err := []*devProcess{one, other}[i%2].greenroom("", "bootstrap")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				secrets = append(secrets, out)
			} else {
				refusals = append(refusals, errs)
			}
		})
	}
	wg.Wait()
	if len(secrets) != 1 || len(refusals) != 7 {
		t.Fatalf("bootstrap was done %d times, refused %d times: %q", len(secrets), len(refusals), refusals)
	}
	for _, r := range refusals {
		if !strings.Contains(r, "already_bootstrapped") || !strings.Contains(r, "consul kv delete greenroom/bootstrap") {
			t.Errorf("the refusal does not say how to recover: %s", r)
		}
	}
	admin := secrets[0]
	one.untilStatus(t, "the first token counts here", admin, 200)
	other.untilStatus(t, "the first token counts there", admin, 200)
	one.ask(t, "GET", "/v1/sessions", nil, 401, nil)

	accessor, launcher := one.token(t, admin, "launcher")
	_, viewer := one.token(t, admin, "viewer")
	_, brief := one.token(t, admin, "viewer", "--expires", "3s")
	other.untilStatus(t, "a launcher's counts there", launcher, 200)
	other.untilStatus(t, "a viewer's counts there", viewer, 200)
	var l launched
	other.ask(t, "POST", "/v1/sessions", launch("mock", "east", "amy"), 201, &l, bearer(launcher)...)
	other.ask(t, "POST", "/v1/sessions", launch("mock", "east", "amy"), 403, nil, bearer(viewer)...)
	other.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, nil, bearer(viewer)...)
	other.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 403, nil, bearer(viewer)...)
	other.ask(t, "DELETE", "/v1/images/mock", nil, 403, nil, bearer(launcher)...)
	other.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil, bearer(launcher)...)
	other.untilStatus(t, "a token expires", brief, 401)

	list, errs, err := one.greenroom(admin, "token", "list")
	if err != nil || strings.Count(list, "\n") != 4 || !strings.Contains(list, "expired") || strings.Contains(list, launcher) {
		t.Errorf("%v %s\n%s", err, errs, list)
	}
	if _, errs, err := one.greenroom(admin, "token", "revoke", accessor); err != nil {
		t.Error(err, errs)
	}
	one.ask(t, "GET", "/v1/sessions", nil, 401, nil, bearer(launcher)...)
	other.untilStatus(t, "a revoked token stops there", launcher, 401)

	// Audit events name the caller and hold no secret.
	image := staging.Image{Name: "audited", Jobspec: jobspecs.DemoMock}
	image.ExecConfig.Assign = &staging.Hook{Cmd: []string{"x"}, Environment: map[string]string{"KEY": "first-s3cret", "SAME": "kept-s3cret"}}
	one.ask(t, "PUT", "/v1/images/audited", image, 201, nil, bearer(admin)...)
	image.ExecConfig.Assign.Environment["KEY"] = "second-s3cret"
	image.WebFilterPolicy = "strict"
	one.ask(t, "PUT", "/v1/images/audited", image, 200, nil, append(bearer(admin), "X-Request-Id", "the-change")...)
	one.ask(t, "DELETE", "/v1/images/audited", nil, 204, nil, bearer(admin)...)
	var changes []map[string]any
	denied := map[string]bool{}
	// A refused caller does not wait until the refusal is stored.
	until(t, "auditors heard of the denied calls", func() (bool, string) {
		changes = nil
		for _, e := range d.noted(t, staging.EventAudit) {
			if e["target"] == "image audited" {
				changes = append(changes, e)
			}
			if e["outcome"] == "denied" {
				denied[fmt.Sprint(e["operation"], " ", e["role"])] = true
			}
		}
		return denied["deleteImage launcher"] && denied["createSession viewer"] && denied["listSessions <nil>"], fmt.Sprint(denied)
	})
	if len(changes) != 3 {
		t.Fatalf("%d changes of the image were audited: %v", len(changes), changes)
	}
	who := fmt.Sprint(changes[1]["who"])
	if !strings.HasPrefix(who, "token:tk-") || changes[1]["operation"] != "putImage" || changes[1]["role"] != "admin" || changes[1]["request_id"] != "the-change" {
		t.Errorf("the change: %v", changes[1])
	}
	for i, want := range []struct{ before, after string }{
		{"", `"KEY":"(hidden)"`},
		{`"KEY":"(hidden)"`, `"environment":{"KEY":"(hidden, changed)","SAME":"(hidden)"}`},
		{`"web_filter_policy":"strict"`, ""},
	} {
		before, after := fmt.Sprint(changes[i]["before"]), fmt.Sprint(changes[i]["after"])
		if (want.before == "") != (changes[i]["before"] == nil) || !strings.Contains(before, want.before) && want.before != "" ||
			(want.after == "") != (changes[i]["after"] == nil) || !strings.Contains(after, want.after) && want.after != "" {
			t.Errorf("change %d: before %s, after %s", i, before, after)
		}
		if strings.Contains(before+after, "s3cret") {
			t.Errorf("change %d shows a secret: before %s, after %s", i, before, after)
		}
	}
	log := otherAgent.Log.String()
	for _, operation := range []string{"createSession", "endSession"} {
		parts := []string{`"operation":"` + operation + `"`, `"target":"session ` + l.ID + `"`, `"outcome":"changed"`, accessor}
		if !slices.ContainsFunc(strings.Split(log, "\n"), func(line string) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
		}) {
			t.Errorf("the audit log has no line with %q:\n%s", parts, log)
		}
	}
	verify := func(log string) error {
		path := filepath.Join(t.TempDir(), "broker.log")
		must(t, os.WriteFile(path, []byte(log), 0o600))
		out, errs, err := other.greenroom("", "audit", "verify", path)
		if err == nil && !strings.Contains(out, "records are unchanged") {
			t.Errorf("%s%s", out, errs)
		}
		return err
	}
	if err := verify(log); err != nil {
		t.Errorf("%v:\n%s", err, log)
	}
	if err := verify(strings.ReplaceAll(log, "u-amy", "u-ann")); err == nil {
		t.Error("a record of another user was not found")
	}
}

// TestAGuardedBrokerRefusesAConsulThatIsOpen, because everybody could read the secrets that its
// guard relies on.
func TestAGuardedBrokerRefusesAConsulThatIsOpen(t *testing.T) {
	d := sharedDev(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := command("broker", "--bind", "127.0.0.1:0", "--nomad-address", d.Nomad, "--consul-address", d.Consul, "--redis-address", d.Redis, "--access").Args
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "Consul lets anybody without a token read") || !strings.Contains(string(out), "allow_open_consul") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAUserOfTheIssuer launches with the user's own token, and reads only the user's sessions.
func TestAUserOfTheIssuer(t *testing.T) {
	p := issuertest.New(t)
	key := issuertest.NewKey(t, "k")
	p.Publishes(key)
	c, d := startCluster(t, 0)
	guarded, _ := guardedBroker(t, c, d, "--oidc-issuer", p.URL(), "--oidc-audience", "greenroom", "--oidc-groups-claim", "groups",
		"--oidc-role-claim", "roles", "--oidc-role", "boss=admin", "--oidc-role", "eyes=viewer")
	one := 1
	d.group(t, staging.Group{Name: "students", Priority: 1, MaxSessionsPerUser: &one})
	as := func(user string, change map[string]any) []string {
		claims := p.Claims(map[string]any{"sub": user, "groups": []string{"students", "everybody at example.org"}})
		for k, v := range change {
			claims[k] = v
		}
		return bearer(key.Signs(t, claims))
	}
	var amys, bobs launched
	own := `{"image":"mock","zone":"east"}`
	// The user's groups come from the token; groups that greenroom does not have are ignored.
	until(t, "the group is known", func() (bool, string) {
		r, err := guarded.call("GET", "/v1/groups/students", "", as("eve", map[string]any{"roles": "eyes"})...)
		must(t, err)
		return r.status == 200, string(r.body)
	})
	guarded.ask(t, "POST", "/v1/sessions", own, 201, &amys, as("amy", nil)...)
	guarded.ask(t, "POST", "/v1/sessions", own, 409, nil, as("amy", nil)...)
	guarded.ask(t, "POST", "/v1/sessions", own, 201, &bobs, as("bob", nil)...)
	if amys.User.ID != "amy" || amys.User.Name != "Alice" {
		t.Errorf("launched for %+v", amys.User)
	}
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east","user":{"id":"bob"}}`, 403, nil, as("amy", nil)...)
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east","groups":["students"]}`, 403, nil, as("amy", nil)...)
	for _, call := range [][2]string{{"GET", ""}, {"POST", "/keepalive"}, {"DELETE", ""}} {
		guarded.ask(t, call[0], "/v1/sessions/"+bobs.ID+call[1], nil, 404, nil, as("amy", nil)...)
	}
	var list struct{ Items []launched }
	guarded.ask(t, "GET", "/v1/sessions", nil, 200, &list, as("amy", nil)...)
	if len(list.Items) != 1 || list.Items[0].ID != amys.ID {
		t.Errorf("amy sees %+v", list.Items)
	}
	guarded.ask(t, "GET", "/v1/images", nil, 403, nil, as("amy", nil)...)
	guarded.ask(t, "GET", "/v1/sessions/"+bobs.ID, nil, 200, nil, as("eve", map[string]any{"roles": []string{"eyes"}})...)
	guarded.ask(t, "POST", "/v1/bootstrap", nil, 401, nil)
	guarded.ask(t, "GET", "/v1/tokens", nil, 200, nil, as("root", map[string]any{"roles": []string{"boss"}})...)
	guarded.ask(t, "GET", "/v1/sessions", nil, 401, nil, as("amy", map[string]any{"aud": "other"})...)

	// While the issuer is unavailable, tokens with known keys stay valid.
	p.Close()
	guarded.ask(t, "POST", "/v1/sessions/"+amys.ID+"/keepalive", nil, 200, nil, as("amy", nil)...)
	unseen := issuertest.NewKey(t, "unseen")
	if r := guarded.ask(t, "GET", "/v1/sessions", nil, 503, nil, bearer(unseen.Signs(t, p.Claims(nil)))...); !strings.Contains(string(r.body), "issuer_unavailable") {
		t.Errorf("%s", r.body)
	}
	guarded.ask(t, "DELETE", "/v1/sessions/"+amys.ID, nil, 204, nil, as("amy", nil)...)
	d.ask(t, "DELETE", "/v1/sessions/"+bobs.ID, nil, 204, nil)
}

// seesHidden checks that a viewer and a launcher read an image without its secrets, and that
// an administrator who stores what they read keeps them.
func seesHidden(t *testing.T, guarded *devProcess, admin string, image staging.Image) {
	t.Helper()
	read := func(token string) (i staging.Image) {
		t.Helper()
		guarded.ask(t, "GET", "/v1/images/"+image.Name, nil, 200, &i, bearer(token)...)
		return i
	}
	whole := read(admin)
	for _, role := range []string{"viewer", "launcher"} {
		_, token := guarded.token(t, admin, role)
		seen := read(token)
		if diff := cmp.Diff(staging.Redacted(whole), seen); diff != "" || seen.Jobspec != staging.Hidden || seen.ExecConfig.Assign.Environment["KEY"] != staging.Hidden {
			t.Errorf("a %s sees (-want +got):\n%s", role, diff)
		}
		guarded.ask(t, "PUT", "/v1/images/"+image.Name, seen, 200, nil, bearer(admin)...)
	}
	if diff := cmp.Diff(whole, read(admin)); diff != "" {
		t.Errorf("stored again as it was read without secrets (-before +after):\n%s", diff)
	}
	added := staging.Redacted(whole)
	added.Variables = map[string]string{"unknown": staging.Hidden}
	if r := guarded.ask(t, "PUT", "/v1/images/"+image.Name, added, 422, nil, bearer(admin)...); !strings.Contains(string(r.body), "variables.unknown") {
		t.Errorf("%s", r.body)
	}
}

// TestNoSecretIsWritten: no log of the agents or of Nomad, and no event, contains a token, a
// JWT, a value of a hook's or a launch's environment, or a session's access token. That
// holds at level trace, and where things fail.
func TestNoSecretIsWritten(t *testing.T) {
	p := issuertest.New(t)
	key := issuertest.NewKey(t, "k")
	p.Publishes(key)
	c, d := startCluster(t, 0)
	guarded, b := guardedBroker(t, c, d, "--log-level", "trace", "--oidc-issuer", p.URL(), "--oidc-audience", "greenroom")
	s := startAgent(t, c, "scaler", "--log-level", "trace")

	admin, errs, err := guarded.greenroom("", "bootstrap")
	if err != nil {
		t.Fatal(err, errs)
	}
	accessor, launcher := guarded.token(t, admin, "launcher")
	jwt := key.Signs(t, p.Claims(map[string]any{"sub": "u-jay"}))
	wrong := issuertest.NewKey(t, "w").Signs(t, p.Claims(nil))
	secrets := map[string]string{
		"the administrator's token": admin, "the launcher's token": launcher, "a JWT": jwt, "a JWT that was refused": wrong,
		"a token that was refused": "grt_this-one-is-wrong", "a hook's environment": "hook-s3cret-value",
		"a launch's environment": "launch-s3cret-value", "a user's environment": "user-s3cret-value",
		"a session's token that was refused": "session-token-that-is-wrong",
	}
	expose := true
	group := staging.Group{Name: "exposed", Priority: 1, ExposeUserEnvironmentVars: &expose}
	guarded.ask(t, "PUT", "/v1/groups/exposed", group, 201, nil, bearer(admin)...)

	// A hook that succeeds, one that fails and prints its whole input, and a first_launch hook.
	good, bad := quickImage("discreet"), quickImage("chatty")
	environment := map[string]string{"KEY": secrets["a hook's environment"]}
	good.ExecConfig.Assign.Environment = environment
	good.ExecConfig.FirstLaunch = &staging.Hook{Cmd: demo("first-launch"), Environment: environment}
	good.ConnectURL = "https://desk.example.org/?token={token}"
	bad.ExecConfig.Assign = &staging.Hook{Cmd: []string{"/bin/sh", "-c", "env; env >&2; echo \"bad key: $KEY $OWN\" >&2; exit 9"}, Environment: environment}
	for _, image := range []staging.Image{good, bad} {
		guarded.ask(t, "PUT", "/v1/images/"+image.Name, image, 201, nil, bearer(admin)...)
		guarded.ask(t, "PUT", "/v1/staging/"+image.Name, staging.Config{Zone: "east", Image: image.Name, DesiredSessions: 1}, 201, nil, bearer(admin)...)
	}
	seesHidden(t, guarded, admin, good)
	d.untilReady(t, "discreet", 1)
	d.untilReady(t, "chatty", 1)
	body := func(image, user string, more map[string]any) map[string]any {
		l := launch(image, "east", user)
		l["environment"] = map[string]string{"OWN": secrets["a launch's environment"]}
		for k, v := range more {
			l[k] = v
		}
		return l
	}
	var staged, demanded, failed, theirs launched
	guarded.ask(t, "POST", "/v1/sessions", body("discreet", "amy", nil), 201, &staged, append(bearer(launcher), "Idempotency-Key", t.Name())...)
	guarded.ask(t, "POST", "/v1/sessions", body("discreet", "bob", map[string]any{
		"groups": []string{"exposed"}, "user_environment": map[string]string{"MINE": secrets["a user's environment"]},
	}), 201, &demanded, bearer(launcher)...)
	guarded.ask(t, "POST", "/v1/sessions", body("chatty", "cat", nil), 201, &failed, bearer(launcher)...)
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"discreet","zone":"east"}`, 201, &theirs, bearer(jwt)...)
	if staged.Origin != "staged" || demanded.Origin != "on_demand" || len(d.noted(t, staging.EventHookFailed)) == 0 {
		t.Fatalf("%+v, %+v: not what is looked at here", staged.Attempts, demanded.Attempts)
	}
	for i, l := range []launched{staged, demanded, failed, theirs} {
		secrets[fmt.Sprint("the access token of session ", i)] = l.Token
		guarded.ask(t, "GET", "/v1/sessions/"+l.ID+"/authorize", nil, 200, nil, "X-Original-URI", "/s/?token="+l.Token)
		guarded.ask(t, "GET", "/v1/sessions/"+l.ID+"/authorize", nil, 401, nil, bearer("session-token-that-is-wrong")...)
	}
	for _, token := range []string{wrong, "grt_this-one-is-wrong"} {
		guarded.ask(t, "GET", "/v1/sessions", nil, 401, nil, bearer(token)...)
	}
	good.ExecConfig.Assign.Environment = map[string]string{"KEY": "another-s3cret-value"}
	secrets["a hook's new environment"] = "another-s3cret-value"
	guarded.ask(t, "PUT", "/v1/images/discreet", good, 200, nil, bearer(admin)...)
	if _, errs, err := guarded.greenroom(admin, "token", "revoke", accessor); err != nil {
		t.Error(err, errs)
	}
	for _, image := range []string{"discreet", "chatty"} {
		d.ask(t, "DELETE", "/v1/staging/"+image, nil, 204, nil)
		d.ask(t, "DELETE", "/v1/images/"+image, nil, 204, nil)
		d.endAll(t, image)
	}

	written := map[string]string{"the broker's log": b.Log.String(), "the scaler's log": s.Log.String()}
	var kept []string
	for _, e := range d.events(t) {
		kept = append(kept, fmt.Sprint(e))
	}
	written["the events"] = strings.Join(kept, "\n")
	logs, err := filepath.Glob(filepath.Join(c.Dir, "*.log"))
	must(t, err)
	more, err := filepath.Glob(filepath.Join(c.Dir, "*", "*.log"))
	must(t, err)
	for _, path := range slices.Concat(logs, more) {
		text, err := os.ReadFile(path)
		must(t, err)
		written[path] = string(text)
	}
	sources := 0
	for where, text := range written {
		if len(text) > 0 {
			sources++
		}
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				at := strings.Index(text, secret)
				t.Errorf("%s has %s: ...%s", where, what, text[max(0, at-200):at])
			}
			// A JWT's signature alone would show that the JWT was written.
			if parts := strings.Split(secret, "."); len(parts) == 3 && strings.Contains(text, parts[2]) {
				t.Errorf("%s has a part of %s", where, what)
			}
		}
	}
	if sources < 5 || !strings.Contains(written["the broker's log"], "audit=true") || !strings.Contains(written["the events"], "(hidden)") {
		t.Errorf("only %d sources were read, or not the right ones", sources)
	}
}
