package kasmapi_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// idOf returns the id of the image or zone with a name, from the list that clients read.
func (w *world) idOf(t *testing.T, verb, name string) string {
	t.Helper()
	list := strings.TrimPrefix(verb, "get_")
	for _, item := range w.do(t, verb, nil)[list].([]any) {
		one := item.(object)
		for _, field := range []string{"image_id", "zone_id"} {
			if id, ok := one[field].(string); ok && (one["name"] == name || one["zone_name"] == name) {
				return id
			}
		}
	}
	t.Fatalf("%s has no %s", verb, name)
	return ""
}

// TestALaunchAndItsEnd, as a client makes them: a session that was staged is running at the first
// poll, and its end is an empty object.
func TestALaunchAndItsEnd(t *testing.T) {
	w := newWorld(t, false)
	const user = "50faa5439c574b518cd868dac9256e4b"
	image := w.idOf(t, "get_images", "demo")
	made := w.do(t, "request_kasm", object{
		"user_id": user, "image_id": strings.ReplaceAll(image, "-", ""), "enable_sharing": false, "environment": object{"K": "V"},
		"kasm_url": "https://example.org/", "connection_info": object{}, "client_language": "en-US", "client_timezone": "Europe/Berlin", "group_id": nil,
	})
	l := w.launched[0].Launch
	if l.Image != "demo" || l.Zone != "east" || l.User.ID != "50faa543-9c57-4b51-8cd8-68dac9256e4b" || l.URL != "https://example.org/" ||
		!reflect.DeepEqual(l.Environment, map[string]string{"K": "V", "LANG": "en_US.UTF-8", "TZ": "Europe/Berlin"}) || w.launched[0].Wait != 0 {
		t.Errorf("the launch is %+v", w.launched[0])
	}
	if made["status"] != "running" || made["session_token"] != "the-session-token" || made["user_id"] != l.User.ID || made["username"] != l.User.ID {
		t.Errorf("the launch is answered %v", made)
	}
	for _, field := range []string{"kasm_url", "share_id"} {
		if _, ok := made[field]; !ok {
			t.Errorf("the answer has no %s", field)
		}
	}
	kasm := made["kasm_id"].(string)
	seen := w.do(t, "get_kasm_status", object{"user_id": user, "kasm_id": strings.ReplaceAll(kasm, "-", "")})
	if seen["operational_status"] != "running" || !strings.Contains(seen["kasm_url"].(string), "?code=once") || seen["current_time"] == nil {
		t.Errorf("the status is %v", seen)
	}
	k := seen["kasm"].(object)
	for field, want := range map[string]any{
		"kasm_id": kasm, "user_id": l.User.ID, "image_id": image, "operational_status": "running", "host": "10.0.0.7", "hostname": "10.0.0.7",
		"port": 23817.0, "container_id": "alloc", "zone_name": "east", "is_standby": false, "share_id": nil, "token": nil,
		"created_date": "2026-11-24 06:20:00.000000", "start_date": "2026-11-24 06:20:01.000000", "keepalive_date": "2026-11-24 06:20:01.000000",
		"expiration_date": "2026-11-24 06:50:01.000000",
		"image":           object{"image_id": image, "name": "demo", "friendly_name": "demo"},
		"port_map":        object{"http": object{"port": 23817.0, "path": ""}, "vnc": object{"port": 23818.0, "path": ""}},
	} {
		if !reflect.DeepEqual(k[field], want) {
			t.Errorf("%s is %v, want %v", field, k[field], want)
		}
	}
	pool := w.do(t, "get_staging_config", object{"target_staging_config": object{"staging_config_id": k["staging_config_id"]}})
	if pool["staging_config"].(object)["num_current_sessions"] != 3.0 {
		t.Errorf("the kasm's staging config is %v", pool)
	}
	if got := w.do(t, "keepalive", object{"kasm_id": kasm}); !reflect.DeepEqual(got, object{"usage_reached": false}) || len(w.kept) != 1 {
		t.Errorf("the keepalive is answered %v, and reached %v", got, w.kept)
	}
	if got := w.do(t, "get_kasms", nil)["kasms"].([]any); len(got) != 1 || got[0].(object)["kasm_id"] != kasm {
		t.Errorf("the kasms are %v", got)
	}
	if status, got := w.send(t, "/api/destroy_kasm", asJSON(t, object{"user_id": user, "kasm_id": kasm})); status != 200 || len(got) != 0 {
		t.Errorf("the end is answered %d %v, want {}", status, got)
	}
	w.refused(t, "get_kasm_status", object{"kasm_id": kasm}, 404, "ended by request")
	if got := w.do(t, "get_kasms", nil)["kasms"].([]any); len(got) != 0 {
		t.Errorf("after the end the kasms are %v", got)
	}
}

// TestASessionThatIsNotUpReportsItsProgress, and no kasm.
func TestASessionThatIsNotUpReportsItsProgress(t *testing.T) {
	w := newWorld(t, false)
	image, last := w.idOf(t, "get_images", "demo"), -1.0
	for _, state := range []staging.State{staging.Pending, staging.Starting, staging.Claimed} {
		w.state = state
		made := w.do(t, "request_kasm", object{"image_id": image})
		if made["status"] != "starting" || made["kasm_url"] != nil {
			t.Errorf("%s: the launch is answered %v", state, made)
		}
		got := w.do(t, "get_kasm_status", object{"kasm_id": made["kasm_id"]})
		percent := got["operational_progress"].(float64)
		if _, has := got["kasm"]; has || got["operational_status"] != "starting" || percent <= last || got["operational_message"] == "" || got["error_message"] != nil {
			t.Errorf("%s: the status is %v", state, got)
		}
		last = percent
	}
	w.refuse = &refusal.Error{Kind: refusal.NoCapacity, Detail: "no node has room"}
	w.refused(t, "request_kasm", object{"image_id": image}, 503, "no node has room")
}

// TestAnAnonymousUser gets an id that leads back.
func TestAnAnonymousUser(t *testing.T) {
	w := newWorld(t, false)
	image := w.idOf(t, "get_images", "demo")
	first, second := w.do(t, "request_kasm", object{"image_id": image, "user_id": ""}), w.do(t, "request_kasm", object{"image_id": image, "user_id": nil})
	if first["user_id"] == second["user_id"] || !strings.HasPrefix(first["username"].(string), "anon-") {
		t.Errorf("the users are %v and %v", first["username"], second["username"])
	}
	again := w.do(t, "request_kasm", object{"image_id": image, "user_id": first["user_id"]})
	if again["username"] != first["username"] {
		t.Errorf("user %v comes back as %v", first["username"], again["username"])
	}
}

// TestTheZoneOfALaunch is that of the image's fullest pool, or one in which the image may run.
func TestTheZoneOfALaunch(t *testing.T) {
	w := newWorld(t, false)
	for _, tt := range []struct{ image, zone, want string }{{"demo", "", "east"}, {"restricted", "", "west"}, {"demo", "west", "west"}} {
		body := object{"image_id": w.idOf(t, "get_images", tt.image)}
		if tt.zone != "" {
			body["zone_id"] = w.idOf(t, "get_zones", tt.zone)
		}
		w.do(t, "request_kasm", body)
		if got := w.launched[len(w.launched)-1].Zone; got != tt.want {
			t.Errorf("%s in %q is launched in %s, want %s", tt.image, tt.zone, got, tt.want)
		}
	}
	w.refused(t, "request_kasm", object{"image_id": w.idOf(t, "get_zones", "east")}, 404, "image_id")
	w.refused(t, "request_kasm", nil, 400, "image_id must be sent")
}

// TestAnothersKasmDoesNotExist: one of another user than the request names, one that is nobody's,
// and one that never was.
func TestAnothersKasmDoesNotExist(t *testing.T) {
	w := newWorld(t, false)
	w.state = staging.Ready
	kasm := w.do(t, "request_kasm", object{"image_id": w.idOf(t, "get_images", "demo"), "user_id": "50faa5439c574b518cd868dac9256e4b"})["kasm_id"]
	for _, verb := range []string{"get_kasm_status", "destroy_kasm", "keepalive", "exec_command_kasm"} {
		for _, body := range []object{
			{"kasm_id": kasm, "user_id": "60faa5439c574b518cd868dac9256e4b"},
			{"kasm_id": "01893f9c7e2d4b518cd868dac9256e4b"},
		} {
			body["exec_config"] = object{"cmd": "true"}
			if verb != "exec_command_kasm" {
				delete(body, "exec_config")
			}
			w.refused(t, verb, body, 404, "there is no kasm_id")
		}
	}
	for id, s := range w.sessions {
		s.User = nil
		w.sessions[id] = s
	}
	w.refused(t, "destroy_kasm", object{"kasm_id": kasm}, 404, "there is no kasm_id")
	if len(w.kept)+len(w.ran) != 0 {
		t.Error("another's kasm was reached")
	}
}

// TestACommandBecomesWords, and starts without its caller waiting for its end.
func TestACommandBecomesWords(t *testing.T) {
	w := newWorld(t, false)
	kasm := w.do(t, "request_kasm", object{"image_id": w.idOf(t, "get_images", "demo")})["kasm_id"]
	for _, tt := range []struct {
		line string
		want []string
	}{
		{`touch /tmp/a`, []string{"touch", "/tmp/a"}},
		{`  sh -c 'echo "$HOME" > /tmp/a; true' `, []string{"sh", "-c", `echo "$HOME" > /tmp/a; true`}},
		{`open https://a/?x=1&y=$(id)`, []string{"open", "https://a/?x=1&y=$(id)"}},
		{`a "b \" \c \\" '' c\ d`, []string{"a", `b " \c \`, "", "c d"}},
	} {
		got := w.do(t, "exec_command_kasm", object{"kasm_id": kasm, "exec_config": object{
			"cmd": tt.line, "environment": object{"K": "V"}, "workdir": "/tmp", "user": "root", "privileged": false,
		}})
		if got["kasm"].(object)["kasm_id"] != kasm {
			t.Errorf("%s is answered %v", tt.line, got)
		}
		ran := w.ran[len(w.ran)-1]
		// Before the words is what starts them in the background.
		if !slices.Equal(ran.Cmd[4:], tt.want) || !strings.HasSuffix(ran.Cmd[2], "&") || ran.User != "root" || ran.Workdir != "/tmp" || ran.Environment["K"] != "V" {
			t.Errorf("%s is run as %+v, want %q", tt.line, ran, tt.want)
		}
	}
	for line, why := range map[string]string{"": "must be a command", "''": "must be a command", "a 'b": "quote", `a \`: "backslash"} {
		w.refused(t, "exec_command_kasm", object{"kasm_id": kasm, "exec_config": object{"cmd": line}}, 400, "exec_config.cmd", why)
	}
	w.refused(t, "exec_command_kasm", object{"kasm_id": kasm, "exec_config": object{"cmd": "a", "privileged": true}}, 400, "exec_config.privileged")
}

// TestTheLifeOfAStagingConfig.
func TestTheLifeOfAStagingConfig(t *testing.T) {
	w := newWorld(t, false)
	image, zone := w.idOf(t, "get_images", "demo"), w.idOf(t, "get_zones", "west")
	made := w.do(t, "create_staging_config", object{"target_staging_config": object{
		"zone_id": zone, "image_id": image, "num_sessions": 2, "expiration": 1.5, "allow_kasm_audio": false, "allow_kasm_microphone": true,
	}})["staging_config"].(object)
	for field, want := range map[string]any{
		"zone_id": zone, "zone_name": "west", "image_id": image, "num_sessions": 2.0, "num_current_sessions": 0.0, "expiration": 1.5,
		"allow_kasm_audio": false, "allow_kasm_microphone": true, "allow_kasm_uploads": true,
	} {
		if made[field] != want {
			t.Errorf("%s is %v, want %v", field, made[field], want)
		}
	}
	of := func(more object) object {
		target := object{"staging_config_id": made["staging_config_id"]}
		for field, v := range more {
			target[field] = v
		}
		return object{"target_staging_config": target}
	}
	if got := w.do(t, "get_staging_config", of(nil))["staging_config"]; !reflect.DeepEqual(got, made) {
		t.Errorf("it is read as %v, was made as %v", got, made)
	}
	if got := w.do(t, "get_staging_configs", nil)["staging_configs"].([]any); len(got) != 2 {
		t.Errorf("the list is %v", got)
	}
	changed := w.do(t, "update_staging_config", of(object{"num_sessions": 5, "allow_kasm_uploads": false}))["staging_config"].(object)
	if changed["num_sessions"] != 5.0 || changed["allow_kasm_uploads"] != false || changed["allow_kasm_audio"] != false || changed["expiration"] != 1.5 {
		t.Errorf("it was changed to %v", changed)
	}
	// A client may send back all that it read.
	w.do(t, "update_staging_config", object{"target_staging_config": changed})
	if got := w.do(t, "delete_staging_config", of(nil)); len(got) != 0 {
		t.Errorf("the deletion is answered %v", got)
	}
	w.refused(t, "get_staging_config", of(nil), 404)
	w.refused(t, "create_staging_config", object{"target_staging_config": object{"zone_id": zone, "image_id": image, "num_sessions": 100000}}, 422, "desired_sessions")
	w.refused(t, "create_staging_config", object{"target_staging_config": object{"zone_id": zone, "image_id": image}}, 400, "num_sessions must be sent")
	w.refused(t, "create_staging_config", object{"target_staging_config": object{"zone_id": zone, "image_id": image, "num_sessions": 1, "autoscale_config_id": "x"}}, 400, "autoscale_config_id has no counterpart")
	w.refused(t, "create_staging_config", object{"target_staging_config": object{"zone_id": zone, "image_id": image, "num_sessions": 1, "expiration": 1e9}}, 400, "target_staging_config.expiration", "876000 hours")
}

// TestAWrongIDIsNamedAsItWasSent, also one that holds a name, which the client knows nothing of.
func TestAWrongIDIsNamedAsItWasSent(t *testing.T) {
	w := newWorld(t, false)
	image, zone, long := w.idOf(t, "get_images", "restricted"), w.idOf(t, "get_zones", "west"), strings.Repeat("long-name-", 4)
	w.images[long] = staging.Image{Name: long}
	digest := w.idOf(t, "get_images", long)
	delete(w.images, "restricted")
	delete(w.images, long)
	for _, id := range []string{image, digest, zone} {
		for _, message := range []string{"there is no image with the id " + id, "image_id"} {
			w.refused(t, "request_kasm", object{"image_id": id}, 404, message)
			w.refused(t, "create_staging_config", object{"target_staging_config": object{"zone_id": zone, "image_id": id, "num_sessions": 1}}, 404, message)
		}
	}
}

// TestAUserIsFoundByName: by id, else by the name that a launch gave, if it is one user's.
func TestAUserIsFoundByName(t *testing.T) {
	w := newWorld(t, false)
	for id, user := range map[string]staging.User{
		"gr-01jd0c8m4q2v5n7x9z3b6f8h1k": {ID: "u-1", Name: "alice"}, "gr-01jd0c8m4q2v5n7x9z3b6f8h1m": {ID: "u-1", Name: "alice"},
		"gr-01jd0c8m4q2v5n7x9z3b6f8h1n": {ID: "u-2", Name: "bob"}, "gr-01jd0c8m4q2v5n7x9z3b6f8h1p": {ID: "u-3", Name: "bob"}, "gr-01jd0c8m4q2v5n7x9z3b6f8h1q": {ID: "u-4", Name: "u-2"},
	} {
		w.sessions[id] = staging.Session{ID: id, State: staging.Assigned, User: &user}
	}
	for name, want := range map[string]struct {
		id    string
		kasms int
	}{"alice": {"u-1", 2}, "u-1": {"u-1", 2}, "u-2": {"u-2", 1}, "carol": {"carol", 0}} {
		got := w.do(t, "get_user", object{"target_user": object{"username": name}})["user"].(object)
		if got["username"] != want.id || len(got["kasms"].([]any)) != want.kasms {
			t.Errorf("%s is %v", name, got)
		}
	}
	w.refused(t, "get_user", object{"target_user": object{"username": "bob"}}, 409, "several users")
	w.refused(t, "delete_user", object{"target_user": object{"username": "alice"}}, 409, "2 sessions")
}

// TestUsers are those who have sessions; every user has an id that leads back.
func TestUsers(t *testing.T) {
	w := newWorld(t, false)
	made := w.do(t, "create_user", object{"target_user": object{"username": "test_user1@example.com", "locked": false, "disabled": false, "first_name": "", "password": nil}})["user"].(object)
	kasm := w.do(t, "request_kasm", object{"image_id": w.idOf(t, "get_images", "demo"), "user_id": made["user_id"]})
	if kasm["username"] != "test_user1@example.com" {
		t.Errorf("the kasm is of %v", kasm["username"])
	}
	for _, target := range []object{{"username": "test_user1@example.com"}, {"user_id": made["user_id"]}} {
		got := w.do(t, "get_user", object{"target_user": target})["user"].(object)
		if got["user_id"] != made["user_id"] || got["username"] != made["username"] || len(got["kasms"].([]any)) != 1 {
			t.Errorf("%v is %v", target, got)
		}
	}
	if got := w.do(t, "get_users", nil)["users"].([]any); len(got) != 1 {
		t.Errorf("the users are %v", got)
	}
	for field, value := range map[string]any{"password": "3UPKGg7g", "first_name": "Bob", "locked": true, "disabled": true} {
		w.refused(t, "create_user", object{"target_user": object{"username": "a", field: value}}, 400, "target_user."+field)
	}
	w.refused(t, "create_user", object{"target_user": object{"username": "Somebody With A Rather Long Name"}}, 422, "target_user.username")
	target := object{"target_user": object{"user_id": made["user_id"]}}
	w.refused(t, "delete_user", target, 409, "1 sessions")
	target["force"] = true
	if got := w.do(t, "delete_user", target); len(got) != 0 || len(w.do(t, "get_users", nil)["users"].([]any)) != 0 {
		t.Errorf("the deletion is answered %v", got)
	}

	// The id of a long name holds a digest: such a user is found as long as it has a session.
	long := "alice.with.a.long.name@example.com"
	w.sessions["gr-01jd0c8m4q2v5n7x9z3b6f8h1k"] = staging.Session{ID: "gr-01jd0c8m4q2v5n7x9z3b6f8h1k", State: staging.Assigned, User: &staging.User{ID: long}}
	id := w.do(t, "get_users", nil)["users"].([]any)[0].(object)["user_id"]
	if got := w.do(t, "get_user", object{"target_user": object{"user_id": id}})["user"].(object); got["username"] != long {
		t.Errorf("%v is %v", id, got)
	}
	w.set("gr-01jd0c8m4q2v5n7x9z3b6f8h1k", staging.Ended)
	w.refused(t, "get_user", object{"target_user": object{"user_id": id}}, 404, "target_user.user_id")
}

// TestCredentials: a token's accessor and secret, in the body or as HTTP Basic, and nothing else.
// The token's role and scope hold, denied calls are audited, and no secret is logged.
func TestCredentials(t *testing.T) {
	w := newWorld(t, true)
	basic := func(name, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, secret) }
	}
	for _, tt := range []struct {
		name   string
		body   object
		adjust []func(*http.Request)
		status int
	}{
		{"in the body", w.as("viewer", nil), nil, 200},
		{"as Basic", nil, []func(*http.Request){basic(w.accessors["viewer"], w.secrets["viewer"])}, 200},
		{"none", nil, nil, 401},
		{"a wrong secret", object{"api_key": w.accessors["viewer"], "api_key_secret": "grt_wrongwrongwrongwrong"}, nil, 401},
		{"another's accessor", object{"api_key": w.accessors["admin"], "api_key_secret": w.secrets["viewer"]}, nil, 401},
		{"no accessor", object{"api_key_secret": w.secrets["viewer"]}, nil, 401},
		{"no secret", object{"api_key": w.accessors["viewer"]}, nil, 401},
		{"a wrong Basic", nil, []func(*http.Request){basic(w.accessors["viewer"], "wrong")}, 401},
		{"a bearer token", nil, []func(*http.Request){func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+w.secrets["viewer"]) }}, 401},
		{"a cookie", nil, []func(*http.Request){func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "greenroom_login", Value: w.secrets["viewer"]}) }}, 401},
	} {
		if status, answer := w.send(t, "/api/public/get_images", asJSON(t, tt.body), tt.adjust...); status != tt.status {
			t.Errorf("%s: %d %v, want %d", tt.name, status, answer, tt.status)
		}
	}
	image := ""
	for _, i := range w.do(t, "get_images", w.as("viewer", nil))["images"].([]any) {
		if i.(object)["name"] == "demo" {
			image = i.(object)["image_id"].(string)
		}
	}
	w.refused(t, "request_kasm", w.as("viewer", object{"image_id": image}), 403, "launcher")
	w.refused(t, "create_user", w.as("viewer", object{"target_user": object{"username": "a"}}), 403, "launcher")
	made := w.do(t, "request_kasm", w.as("launcher", object{"image_id": image}))
	exec := object{"kasm_id": made["kasm_id"], "exec_config": object{"cmd": "true"}}
	w.refused(t, "exec_command_kasm", w.as("launcher", exec), 403, "admin")
	w.do(t, "exec_command_kasm", w.as("admin", exec))
	if seen := w.do(t, "get_kasm_status", w.as("viewer", object{"kasm_id": made["kasm_id"]})); seen["kasm_url"] != nil {
		t.Errorf("a viewer is shown the link %v", seen["kasm_url"])
	}
	// A token with a scope launches for its users, and reaches no other's session.
	w.refused(t, "request_kasm", w.as("scoped", object{"image_id": image}), 403, "acme-")
	w.refused(t, "destroy_kasm", w.as("scoped", object{"kasm_id": made["kasm_id"]}), 404)
	if got := w.do(t, "get_kasms", w.as("scoped", nil))["kasms"].([]any); len(got) != 0 {
		t.Errorf("a token with a scope sees %v", got)
	}
	if len(w.ran) != 1 || len(w.launched) != 1 {
		t.Errorf("%d commands and %d launches passed", len(w.ran), len(w.launched))
	}
	audited := func(operation string) bool {
		return slices.ContainsFunc(w.audits, func(a staging.Audit) bool {
			return a.Operation == operation && a.Outcome == staging.AuditDenied && a.Who == "token:"+w.accessors["launcher"]
		})
	}
	if !audited("runInSession") {
		t.Errorf("the denied command is not on record: %+v", w.audits)
	}
	if !slices.ContainsFunc(w.traced, func(s string) bool {
		return strings.HasPrefix(s, "token:"+w.accessors["launcher"]+" createSession session gr-")
	}) {
		t.Errorf("the launch is not on record: %v", w.traced)
	}
	for name, secret := range w.secrets {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log has the secret of the %s", name)
		}
	}
	if strings.Contains(w.log.String(), "wrongwrong") {
		t.Error("the log has a wrong secret")
	}
}

// TestWrongSecretsAreThrottled like wrong tokens.
func TestWrongSecretsAreThrottled(t *testing.T) {
	w := newWorld(t, true)
	for range 50 {
		status, _ := w.send(t, "/api/public/get_images", asJSON(t, object{"api_key": "tk-1", "api_key_secret": "x"}))
		if status == http.StatusTooManyRequests {
			w.do(t, "get_images", w.as("viewer", nil))
			return
		}
	}
	t.Error("50 wrong secrets were all answered")
}

// TestUnknownVerbsAreNamed.
func TestUnknownVerbsAreNamed(t *testing.T) {
	w := newWorld(t, false)
	for _, verb := range []string{"join_kasm", "get_licenses", "a/b", ""} {
		w.refused(t, verb, nil, 404, "no verb "+verb, "request_kasm")
	}
	r, answer := w.send(t, "/api/get_images", "", func(r *http.Request) { r.Method = http.MethodGet })
	if r != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d %v", r, answer)
	}
}

// TestMalformedBodies are refused with an error_message that names what is wrong, and reach nothing.
func TestMalformedBodies(t *testing.T) {
	w := newWorld(t, false)
	for _, tt := range []struct {
		name, body string
		status     int
		word       string
	}{
		{"no JSON", `nonsense`, 400, "one JSON object"},
		{"a list", `[]`, 400, "JSON object"},
		{"null", `null`, 400, "JSON object"},
		{"a string", `"a"`, 400, "JSON object"},
		{"two objects", `{}{}`, 400, "one JSON object"},
		{"a name twice", `{"image_id":"a","image_id":"b"}`, 400, "each name once"},
		{"a name twice inside", `{"environment":{"a":"1","a":"2"}}`, 400, "each name once"},
		{"not UTF-8", "{\"image_id\":\"\xff\"}", 400, "UTF-8"},
		{"deep", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), 413, "bytes"},
		{"deep and small", strings.Repeat(`[`, 12000) + strings.Repeat("]", 12000), 400, "one JSON object"},
		{"deep inside", `{"image_id":"00000000000080008000000000000001","x":` + strings.Repeat(`[`, 5000) + strings.Repeat("]", 5000) + `}`, 400, "x has no counterpart"},
		{"huge", `{"image_id":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "bytes"},
		{"a number for an id", `{"image_id":7}`, 400, "image_id must be a string"},
		{"an object for an id", `{"image_id":{"a":1}}`, 400, "image_id must be a string"},
		{"a list for credentials", `{"api_key":["a"]}`, 400, "api_key must be a string"},
		{"no id", `{"image_id":"demo"}`, 400, "image_id must be an id"},
		{"an id too long", `{"image_id":"50faa5439c574b518cd868dac9256e4b0"}`, 400, "image_id must be an id"},
		{"a list for an object", `{"image_id":"50faa5439c574b518cd868dac9256e4b","environment":["A=1"]}`, 400, "environment must be an object"},
		{"a number in the environment", `{"image_id":"50faa5439c574b518cd868dac9256e4b","environment":{"A":1}}`, 400, "environment.A must be a string"},
		{"an unknown field", `{"image_id":"50faa5439c574b518cd868dac9256e4b","persistent_profile_mode":"Reset"}`, 400, "persistent_profile_mode has no counterpart"},
		{"sharing", `{"image_id":"50faa5439c574b518cd868dac9256e4b","enable_sharing":true}`, 400, "enable_sharing has no counterpart"},
		{"connection info", `{"image_id":"50faa5439c574b518cd868dac9256e4b","connection_info":{"guac":{"settings":{"username":"a"}}}}`, 400, "connection_info has no counterpart"},
		{"another case", `{"Image_ID":"50faa5439c574b518cd868dac9256e4b"}`, 400, "image_id must be sent"},
	} {
		status, answer := w.send(t, "/api/public/request_kasm", tt.body)
		if text, _ := answer["error_message"].(string); status != tt.status || !strings.Contains(text, tt.word) {
			t.Errorf("%s: %d %q, want %d with %q", tt.name, status, text, tt.status, tt.word)
		}
	}
	if status, answer := w.send(t, "/api/public/get_images", "", func(r *http.Request) { r.Header.Del("Content-Type") }); status != http.StatusOK {
		t.Errorf("a list without a body is answered %d %v", status, answer)
	}
	status, answer := w.send(t, "/api/public/request_kasm", `{}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("what a foreign page can send is answered %d %v", status, answer)
	}
	if len(w.launched) != 0 {
		t.Errorf("%d of them were launched", len(w.launched))
	}
}

// FuzzRequestKasm: whatever is sent is answered as a launch or with an error_message, and never as a
// failure of the broker.
func FuzzRequestKasm(f *testing.F) {
	f.Add([]byte(`{"image_id":"00000000000080008000000000000001","user_id":null,"environment":{"K":"V"}}`))
	f.Add([]byte(`{"image_id":[{}],"environment":1e999}`))
	f.Add([]byte(`{"exec_config":{"cmd":"a 'b"},"kasm_id":"x","target_user":{"username":"\u0000"}}`))
	f.Add([]byte("[[[[{\"a\":\"\xff\"}]]]]"))
	var w *world
	verbs := []string{"request_kasm", "exec_command_kasm", "get_user", "create_user", "update_staging_config", "create_staging_config", "keepalive"}
	f.Fuzz(func(t *testing.T, body []byte) {
		if w == nil {
			w = newWorld(t, false)
		}
		w.log.Reset()
		for _, verb := range verbs {
			if status, answer := w.send(t, "/api/public/"+verb, string(body)); status >= http.StatusInternalServerError {
				t.Errorf("%s %q is answered %d %v", verb, body, status, answer)
			}
		}
	})
}
