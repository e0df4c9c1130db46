package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// kasmClient is a client of Kasm's developer API, written from its public documentation alone: it
// knows nothing of greenroom.
type kasmClient struct {
	base, key, secret string
	// basic: it sends its credentials as HTTP Basic, not in the body.
	basic bool
	// plain: it sends ids without dashes.
	plain bool
}

type object = map[string]any

// post calls a verb, and returns the answer's status and text.
func (k kasmClient) post(t *testing.T, path string, body object) (status int, text string) {
	t.Helper()
	sent := maps.Clone(body)
	if sent == nil {
		sent = object{}
	}
	if k.plain {
		sent = withoutDashes(sent)
	}
	if !k.basic {
		sent["api_key"], sent["api_key_secret"] = k.key, k.secret
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.base+path, strings.NewReader(jsonText(sent)))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	if k.basic {
		req.SetBasicAuth(k.key, k.secret)
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(b)
}

// withoutDashes returns a body whose ids have no dashes.
func withoutDashes(body object) object {
	out := object{}
	for name, v := range body {
		switch v := v.(type) {
		case string:
			if strings.HasSuffix(name, "_id") {
				out[name] = strings.ReplaceAll(v, "-", "")
				continue
			}
			out[name] = v
		case object:
			out[name] = withoutDashes(v)
		default:
			out[name] = v
		}
	}
	return out
}

// do calls a verb that must be served.
func (k kasmClient) do(t *testing.T, verb string, body object) (answer object) {
	t.Helper()
	status, text := k.post(t, "/api/public/"+verb, body)
	must(t, json.Unmarshal([]byte(text), &answer))
	if status != http.StatusOK || answer["error_message"] != nil {
		t.Fatalf("%s %v: %d %s", verb, body, status, text)
	}
	return answer
}

// refused calls a verb that must be refused, with these words.
func (k kasmClient) refused(t *testing.T, verb string, body object, words string) {
	t.Helper()
	var answer object
	status, text := k.post(t, "/api/public/"+verb, body)
	must(t, json.Unmarshal([]byte(text), &answer))
	if message, _ := answer["error_message"].(string); status < 400 || !strings.Contains(message, words) {
		t.Errorf("%s %v: %d %s, want an error_message with %q", verb, body, status, text, words)
	}
}

// find returns the item of a list with a value.
func find(t *testing.T, answer object, list, field string, value any) object {
	t.Helper()
	for _, item := range answer[list].([]any) {
		if one := item.(object); one[field] == value {
			return one
		}
	}
	t.Fatalf("no item of %v has the %s %v", answer[list], field, value)
	return nil
}

// untilRunning polls a kasm as clients do, and returns the last answer and the statuses of those before.
func (k kasmClient) untilRunning(t *testing.T, kasm, user any) (last object, before []string) {
	t.Helper()
	until(t, fmt.Sprintf("kasm %v runs", kasm), func() (bool, string) {
		last = k.do(t, "get_kasm_status", object{"kasm_id": kasm, "user_id": user})
		if last["operational_status"] == "running" {
			return true, ""
		}
		if _, has := last["kasm"]; has || last["operational_progress"] == nil || last["operational_message"] == "" {
			t.Errorf("a kasm that is not up is answered %v", last)
		}
		before = append(before, last["operational_status"].(string))
		return false, fmt.Sprint(last)
	})
	return last, before
}

// TestAClientOfKasmLaunchesHere on real servers: a staged session is running at the first poll and
// opens through the gateway, one on demand reports its progress first; a command is seen in the
// session itself, and the end is `{}`.
func TestAClientOfKasmLaunchesHere(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	k := kasmClient{base: d.Broker, key: "any", secret: "any"}
	image := find(t, k.do(t, "get_images", nil), "images", "name", "demo")["image_id"]
	zone := find(t, k.do(t, "get_zones", object{"brief": true}), "zones", "zone_name", "east")["zone_id"]
	user := k.do(t, "create_user", object{"target_user": object{"username": "kim@example.com", "locked": false, "password": nil}})["user"].(object)["user_id"]

	made := k.do(t, "request_kasm", object{
		"user_id": user, "image_id": image, "kasm_url": "https://example.org/", "environment": object{"K": "from Kasm's client"},
		"enable_sharing": false, "connection_info": nil, "client_language": "", "client_timezone": "Auto",
	})
	if made["status"] != "running" || made["username"] != "kim@example.com" || made["user_id"] != user || made["session_token"] == "" {
		t.Fatalf("the launch is answered %v", made)
	}
	kasm := made["kasm_id"]
	seen, before := k.untilRunning(t, kasm, user)
	shown := seen["kasm"].(object)
	if len(before) > 0 || shown["zone_id"] != zone || shown["image_id"] != image || shown["staging_config_id"] == nil || shown["is_standby"] != false {
		t.Errorf("after %v the staged kasm is %v", before, seen)
	}
	session := d.onlySessionOf(t, "kim@example.com")
	if shown["port"] != float64(session.Ports["http"]) || shown["host"] != session.Address {
		t.Errorf("the kasm is at %v:%v, the session at %s %v", shown["host"], shown["port"], session.Address, session.Ports)
	}
	all := record(t, session)
	if got := all[len(all)-1]; got.UserID != "kim@example.com" || got.URL != "https://example.org/" || got.Environment["K"] != "from Kasm's client" {
		t.Errorf("the session was given to %+v", got)
	}
	for _, link := range []any{made["kasm_url"], seen["kasm_url"]} {
		at, status, text := newVisitor(t).visit(t, link.(string))
		if status != http.StatusOK || !strings.HasPrefix(at.String(), d.Gateway+"/s/"+session.ID+"/") || !strings.Contains(text, "kim@example.com") {
			t.Errorf("the link leads to %s: %d %s", at, status, text)
		}
	}
	if got := k.do(t, "keepalive", object{"kasm_id": kasm}); got["usage_reached"] != false {
		t.Errorf("the keepalive is answered %v", got)
	}
	find(t, k.do(t, "get_kasms", nil), "kasms", "kasm_id", kasm)
	find(t, k.do(t, "get_users", nil), "users", "user_id", user)
	find(t, k.do(t, "get_user", object{"target_user": object{"username": "kim@example.com"}})["user"].(object), "kasms", "kasm_id", kasm)

	// A command runs in the session, and goes on after its call.
	k.do(t, "exec_command_kasm", object{"kasm_id": kasm, "user_id": user, "exec_config": object{
		"cmd": `/bin/sh -c 'sleep 1; echo "$WORD $GREENROOM_USER_ID in $PWD" >/tmp/seen'`, "environment": object{"WORD": "it's $HOME for"}, "workdir": "/tmp", "privileged": false,
	}})
	until(t, "the command is seen in the session", func() (bool, string) {
		saw := d.inside(t, session.ID, "cat /tmp/seen 2>/dev/null")
		return saw == "it's $HOME for kim@example.com in /tmp", saw
	})
	k.refused(t, "exec_command_kasm", object{"kasm_id": kasm, "exec_config": object{"cmd": "no-such-program --now"}}, "no-such-program")

	stranger := "50faa5439c574b518cd868dac9256e4b"
	for _, verb := range []string{"get_kasm_status", "destroy_kasm", "keepalive"} {
		k.refused(t, verb, object{"kasm_id": kasm, "user_id": stranger}, "there is no kasm_id")
		k.refused(t, verb, object{"kasm_id": "01893f9c-7e2d-4b51-8cd8-68dac9256e4b"}, "there is no kasm_id")
	}
	k.refused(t, "join_kasm", object{"share_id": "x"}, "no verb join_kasm")
	k.refused(t, "request_kasm", object{"image_id": image, "enable_sharing": true}, "enable_sharing")
	if status, text := k.post(t, "/api/destroy_kasm", object{"kasm_id": kasm, "user_id": user}); status != http.StatusOK || text != "{}" {
		t.Errorf("the end is answered %d %s", status, text)
	}
	if reason := d.untilEnded(t, session.ID); reason != "ended by request" {
		t.Errorf("the session ended: %s", reason)
	}
	k.refused(t, "get_kasm_status", object{"kasm_id": kasm, "user_id": user}, "is over")

	// An image without a pool: the session is made for its user, who needs no id, and ids may be
	// without dashes.
	slow := d.dockerImage(t, "kasm-slow")
	slow.Variables["warmup"] = "3s"
	d.store(t, slow)
	k.plain = true
	image = find(t, k.do(t, "get_images", nil), "images", "friendly_name", "kasm-slow")["image_id"]
	made = k.do(t, "request_kasm", object{"image_id": image})
	if made["status"] != "starting" || made["kasm_url"] != nil {
		t.Fatalf("the launch on demand is answered %v", made)
	}
	seen, before = k.untilRunning(t, made["kasm_id"], made["user_id"])
	if len(before) == 0 || !slices.Equal(slices.Compact(before), []string{"starting"}) || !strings.HasPrefix(seen["kasm_url"].(string), d.Gateway) {
		t.Errorf("after %v the kasm on demand is %v", before, seen)
	}
	d.store(t, quickImage("kasm-process"))
	image = find(t, k.do(t, "get_images", nil), "images", "name", "kasm-process")["image_id"]
	process := k.do(t, "request_kasm", object{"image_id": image, "user_id": made["user_id"]})
	k.untilRunning(t, process["kasm_id"], made["user_id"])
	// Not only in a container a command goes on after its call.
	k.do(t, "exec_command_kasm", object{"kasm_id": process["kasm_id"], "exec_config": object{"cmd": `sh -c 'sleep 1; echo done >"$NOMAD_TASK_DIR/seen"'`}})
	until(t, "the command is seen in the process's directory", func() (bool, string) {
		saw := d.inside(t, d.sessionOf(t, process["kasm_id"].(string)), `cat "$NOMAD_TASK_DIR/seen" 2>/dev/null`)
		return saw == "done", saw
	})
	target := object{"target_user": object{"user_id": made["user_id"]}}
	k.refused(t, "delete_user", target, "sessions")
	target["force"] = true
	k.do(t, "delete_user", target)
	d.untilEnded(t, d.sessionOf(t, made["kasm_id"].(string)))
	d.untilEnded(t, d.sessionOf(t, process["kasm_id"].(string)))
}

// onlySessionOf returns the session that a user has.
func (d *devProcess) onlySessionOf(t *testing.T, user string) launched {
	t.Helper()
	var list struct{ Items []launched }
	d.ask(t, "GET", "/v1/sessions?state=assigned&user="+user, nil, 200, &list)
	if len(list.Items) != 1 {
		t.Fatalf("%s has the sessions %+v", user, list.Items)
	}
	return list.Items[0]
}

// sessionOf returns the session that a kasm is, which has the same 128 bits in another alphabet.
func (d *devProcess) sessionOf(t *testing.T, kasm string) string {
	t.Helper()
	const crockford = "0123456789abcdefghjkmnpqrstvwxyz"
	digits := strings.ReplaceAll(kasm, "-", "")
	var high, low uint64
	_, err := fmt.Sscanf(digits[:16]+" "+digits[16:], "%x %x", &high, &low)
	must(t, err)
	id := make([]byte, 26)
	for i := range id {
		id[len(id)-1-i] = crockford[low&31]
		low, high = low>>5|high<<59, high>>5
	}
	return "gr-" + string(id)
}

// TestAClientOfKasmStagesHere: the life of a staging config, as Consul has it and Nomad runs it, at
// a broker that requires tokens. Each verb needs its role; a token counts as Basic and in the body,
// and no secret is logged, right or wrong.
func TestAClientOfKasmStagesHere(t *testing.T) {
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	guarded, b := guardedBroker(t, c, d, "--log-format", "json", "--log-level", "debug")
	admin, errs, err := guarded.greenroom("", "bootstrap")
	if err != nil {
		t.Fatal(err, errs)
	}
	guarded.untilStatus(t, "the first token counts", admin, 200)
	clients := map[string]kasmClient{}
	for _, role := range []string{"admin", "launcher", "viewer"} {
		accessor, secret := guarded.token(t, admin, role)
		guarded.untilStatus(t, "the token of the "+role+" counts", secret, 200)
		clients[role] = kasmClient{base: guarded.Broker, key: accessor, secret: secret, basic: role == "launcher", plain: role != "admin"}
	}
	k := clients["admin"]
	image := find(t, k.do(t, "get_images", nil), "images", "name", "mock")["image_id"]
	zone := find(t, k.do(t, "get_zones", nil), "zones", "zone_name", "east")["zone_id"]
	body := object{"target_staging_config": object{
		"zone_id": zone, "image_id": image, "num_sessions": 2, "expiration": 1.5, "allow_kasm_audio": true, "allow_kasm_uploads": true,
		"allow_kasm_downloads": true, "allow_kasm_clipboard_down": true, "allow_kasm_clipboard_up": true, "allow_kasm_microphone": false,
	}}
	clients["launcher"].refused(t, "create_staging_config", body, "admin")
	made := k.do(t, "create_staging_config", body)["staging_config"].(object)
	id := object{"staging_config_id": made["staging_config_id"]}
	name, stored := newConfig(t, d)
	if stored.DesiredSessions != 2 || stored.Expiration.Std().Minutes() != 90 || stored.Zone != "east" || stored.Image != "mock" || len(stored.Permissions) != 6 {
		t.Errorf("Consul has %+v", stored)
	}
	d.untilReady(t, name, 2)
	if got := len(d.passing(t, name)); got != 2 {
		t.Errorf("%d sessions pass in Consul, want 2", got)
	}
	if got := clients["viewer"].do(t, "get_staging_config", object{"target_staging_config": id})["staging_config"].(object); got["num_current_sessions"] != 2.0 || got["num_sessions"] != 2.0 {
		t.Errorf("the config is shown as %v", got)
	}

	// A launch takes one of them, since no other pool has any.
	l := clients["launcher"]
	kasm := l.do(t, "request_kasm", object{"image_id": image, "user_id": "50faa543-9c57-4b51-8cd8-68dac9256e4b"})
	if kasm["status"] != "running" {
		t.Errorf("the launch is answered %v", kasm)
	}
	shown := clients["viewer"].do(t, "get_kasm_status", object{"kasm_id": kasm["kasm_id"], "user_id": "50faa5439c574b518cd868dac9256e4b"})["kasm"].(object)
	if shown["staging_config_id"] != made["staging_config_id"] {
		t.Errorf("the kasm was staged by %v, want %v", shown["staging_config_id"], made["staging_config_id"])
	}
	clients["viewer"].refused(t, "destroy_kasm", object{"kasm_id": kasm["kasm_id"]}, "launcher")
	l.refused(t, "exec_command_kasm", object{"kasm_id": kasm["kasm_id"], "exec_config": object{"cmd": "true"}}, "admin")

	k.do(t, "update_staging_config", object{"target_staging_config": object{"staging_config_id": made["staging_config_id"], "num_sessions": 3}})
	d.untilReady(t, name, 3)
	find(t, k.do(t, "get_staging_configs", nil), "staging_configs", "num_sessions", 3.0)
	k.do(t, "update_staging_config", object{"target_staging_config": object{"staging_config_id": made["staging_config_id"], "allow_kasm_audio": false}})
	if _, stored = newConfig(t, d); stored.Permissions.Allows(staging.AllowAudio) || !stored.Permissions.Allows(staging.AllowUploads) || stored.DesiredSessions != 3 {
		t.Errorf("after the change Consul has %+v", stored)
	}
	if got := k.do(t, "delete_staging_config", object{"target_staging_config": id}); len(got) != 0 {
		t.Errorf("the deletion is answered %v", got)
	}
	until(t, "only the user's session is left in Nomad", func() (bool, string) {
		left := d.jobs(t, "mock")
		return len(left) == 1, fmt.Sprint(left)
	})
	k.refused(t, "get_staging_config", object{"target_staging_config": id}, "no staging config")
	if status, text := l.post(t, "/api/public/destroy_kasm", object{"kasm_id": kasm["kasm_id"]}); status != http.StatusOK || text != "{}" {
		t.Errorf("the end is answered %d %s", status, text)
	}
	d.untilEnded(t, d.sessionOf(t, kasm["kasm_id"].(string)))

	const wrong = "grt_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
	const words = "wrong-and-no-token-of-ours"
	for _, bad := range []kasmClient{
		{base: guarded.Broker},
		{base: guarded.Broker, key: k.key, secret: wrong},
		{base: guarded.Broker, key: k.key, secret: words, basic: true},
		{base: guarded.Broker, key: clients["viewer"].key, secret: k.secret},
		{base: guarded.Broker, key: k.secret, secret: k.key},
	} {
		if status, text := bad.post(t, "/api/public/get_images", nil); status != http.StatusUnauthorized || !strings.Contains(text, "error_message") {
			t.Errorf("wrong credentials are answered %d %s", status, text)
		}
	}
	b.End(t, syscall.SIGTERM)
	for _, secret := range []string{admin, k.secret, l.secret, clients["viewer"].secret, wrong, words} {
		if bytes.Contains([]byte(b.Log.String()), []byte(secret)) {
			t.Errorf("the broker's log has the secret %s", secret)
		}
	}
	if !strings.Contains(b.Log.String(), "/api/public/request_kasm") || !strings.Contains(b.Log.String(), `"operation":"createSession"`) {
		t.Error("the broker's log does not show the launch")
	}
}

// newConfig returns the staging config in Consul that is not the cluster's own.
func newConfig(t *testing.T, d *devProcess) (name string, c staging.Config) {
	t.Helper()
	pairs, _, err := d.consul(t).KV().List("greenroom/resources/", &consulapi.QueryOptions{RequireConsistent: true})
	must(t, err)
	for _, p := range pairs {
		at := p.Key[strings.LastIndex(p.Key, "/")+1:]
		if strings.HasPrefix(at, "mock-") && strings.Contains(p.Key, "/staging/") {
			must(t, json.Unmarshal(p.Value, &c))
			return at, c
		}
	}
	t.Fatalf("Consul has no new staging config: %v", pairs)
	return "", c
}
