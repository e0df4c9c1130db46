package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/e2e/stockclient"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestEveryPathAnswersAsTheContractHasIt calls every operation of the contract on a whole
// greenroom; the harness checks each answer, as it does in every test.
func TestEveryPathAnswersAsTheContractHasIt(t *testing.T) {
	d := sharedDev(t)
	var l launched
	d.group(t, staging.Group{Name: "connies", SessionTimeLimit: staging.Duration(time.Hour), MaxExtension: staging.Duration(time.Hour)})
	d.ask(t, "POST", "/v1/sessions", launchWith("demo", "east", "connie", map[string]any{"groups": []string{"connies"}}), 201, &l)
	d.ask(t, "GET", "/v1/sessions?state=assigned&user=u-connie&limit=1", nil, 200, nil)
	d.ask(t, "GET", "/v1/launchable?limit=1", nil, 200, nil)
	d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, nil)
	d.ask(t, "POST", "/v1/sessions/"+l.ID+"/keepalive", nil, 200, nil)
	d.ask(t, "POST", "/v1/sessions/"+l.ID+"/extend", `{"by":"1m"}`, 200, nil)
	d.ask(t, "POST", "/v1/sessions/"+l.ID+"/link?port=http&path=/", nil, 200, nil)
	d.ask(t, "POST", "/v1/sessions/"+l.ID+"/exec", `{"cmd":["/bin/sh","-c","exit 0"]}`, 204, nil)
	d.ask(t, "GET", "/v1/sessions/"+l.ID+"/authorize", nil, 200, nil, "Authorization", "Bearer "+l.Token)
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	d.untilEnded(t, l.ID)
	image := quickImage("contract")
	d.ask(t, "GET", "/v1/sessions/"+l.ID+"/logs", nil, 404, nil)
	d.store(t, wordy("contract-log"))
	var heard launched
	d.ask(t, "POST", "/v1/sessions?wait=60s", launch("contract-log", "east", "connie"), 201, &heard)
	// Nomad opens the log a moment after the task has begun.
	until(t, "its log can be read", func() (bool, string) {
		r, err := d.call("GET", "/v1/sessions/"+heard.ID+"/logs?tail=5&type=stderr", "")
		must(t, err)
		return r.status == http.StatusOK, string(r.body)
	})
	for _, resource := range []struct {
		path string
		body any
	}{
		{"groups/contract", staging.Group{Name: "contract", Priority: 7}},
		{"zones/contract", staging.Zone{Name: "contract", Datacenters: []string{"dc1"}}},
		{"images/contract", image},
		{"staging/contract", staging.Config{Name: "contract", Zone: "east", Image: "contract"}},
		{"webhooks/contract", staging.Webhook{URL: "http://127.0.0.1:1/", Secret: webhookSecret, Staging: []string{"contract"}}},
	} {
		list, _, _ := strings.Cut(resource.path, "/")
		path := "/v1/" + resource.path
		d.ask(t, "PUT", path, resource.body, 201, nil)
		d.ask(t, "PUT", path, resource.body, 200, nil)
		d.ask(t, "GET", path, nil, 200, nil)
		d.ask(t, "GET", "/v1/"+list, nil, 200, nil)
		t.Cleanup(func() { d.ask(t, "DELETE", path, nil, 204, nil) })
	}
	d.ask(t, "GET", "/v1/staging/contract/history", nil, 200, nil)
	d.ask(t, "GET", "/v1/webhooks/contract/deliveries", nil, 200, nil)
	d.ask(t, "GET", "/v1/webhooks/contract/dead-letters", nil, 200, nil)
	d.ask(t, "POST", "/v1/webhooks/contract/replay", `{}`, 200, nil)
	d.ask(t, "POST", "/v1/webhooks/contract/test", nil, 200, nil)
	d.ask(t, "DELETE", "/v1/staging/contract", nil, 204, nil)
	d.ask(t, "PUT", "/v1/staging/contract", staging.Config{Name: "contract", Zone: "east", Image: "contract"}, 201, nil)
	for _, kind := range []string{"groups", "zones", "images"} {
		d.ask(t, "DELETE", "/v1/"+kind+"/none", nil, 404, nil)
	}
	d.ask(t, "PUT", "/v1/groups/gone", staging.Group{Name: "gone"}, 201, nil)
	d.ask(t, "DELETE", "/v1/groups/gone", nil, 204, nil)
	d.ask(t, "PUT", "/v1/webhooks/gone", staging.Webhook{URL: "http://127.0.0.1:1/", Secret: webhookSecret}, 201, nil)
	d.ask(t, "DELETE", "/v1/webhooks/gone", nil, 204, nil)
	d.ask(t, "PUT", "/v1/zones/gone", staging.Zone{Name: "gone", Datacenters: []string{"dc1"}}, 201, nil)
	d.ask(t, "DELETE", "/v1/zones/gone", nil, 204, nil)
	image.Name = "gone"
	d.ask(t, "PUT", "/v1/images/gone", image, 201, nil)
	d.ask(t, "DELETE", "/v1/images/gone", nil, 204, nil)
	d.ask(t, "GET", "/v1/installation", nil, 200, nil)
	// It has no session, so nothing is taken over.
	d.ask(t, "POST", "/v1/installation/take-over", map[string]string{"id": staging.NewInstallationID()}, 200, nil)
	d.ask(t, "POST", "/v1/secrets/rotate", map[string]string{"overlap": "24h"}, 200, nil)
	d.ask(t, "GET", "/v1/self", nil, 200, nil)
	d.ask(t, "POST", "/v1/login", `{"token":"any"}`, 204, nil)
	d.ask(t, "DELETE", "/v1/login", nil, 204, nil)
	d.ask(t, "GET", "/v1/login", nil, 200, nil)
	d.ask(t, "GET", "/v1/login/oidc", nil, 303, nil)
	d.ask(t, "GET", "/v1/login/oidc/callback", nil, 303, nil)
	var token struct{ Accessor string }
	d.ask(t, "POST", "/v1/bootstrap", nil, 201, &token)
	d.ask(t, "DELETE", "/v1/tokens/"+token.Accessor, nil, 204, nil)
	d.ask(t, "POST", "/v1/tokens", `{"name":"contract","role":"viewer"}`, 201, &token)
	d.ask(t, "GET", "/v1/tokens", nil, 200, nil)
	d.ask(t, "POST", "/v1/tokens/"+token.Accessor+"/rotate", `{"overlap":"1h"}`, 200, nil)
	d.ask(t, "DELETE", "/v1/tokens/"+token.Accessor, nil, 204, nil)
	d.ask(t, "POST", "/v1/staging/contract/recycle", `{"older_than":"1h"}`, 200, nil)
	d.ask(t, "POST", "/v1/staging/contract/retry", nil, 200, nil)
	d.ask(t, "POST", "/v1/pauses", `{"staging":"contract","reason":"a test"}`, 201, nil)
	d.ask(t, "GET", "/v1/pauses", nil, 200, nil)
	d.ask(t, "DELETE", "/v1/pauses?staging=contract", nil, 204, nil)
	d.ask(t, "POST", "/v1/locked-users", `{"user_id":"u-contract","reason":"a test"}`, 201, nil)
	d.ask(t, "GET", "/v1/locked-users", nil, 200, nil)
	d.ask(t, "DELETE", "/v1/locked-users?user_id=u-contract", nil, 204, nil)
	d.ask(t, "POST", "/v1/resources/check", map[string]any{"groups": []staging.Group{{Name: "checked"}}}, 204, nil)
	d.ask(t, "GET", "/v1/status", nil, 200, nil)
	for _, path := range []string{"/v1/health/live", "/v1/health/ready", "/v1/openapi.yaml", "/v1/docs", "/metrics"} {
		d.ask(t, "GET", path, nil, 200, nil)
	}
	_, stop := d.follow(t, "", "")
	stop()
	// An unknown path and an unknown method are answered with a problem document.
	d.ask(t, "GET", "/v1/nowhere", nil, 404, nil)
	d.ask(t, "PATCH", "/v1/zones/contract", nil, 405, nil)
	if err := held.contract.Unseen(); err != nil {
		t.Error(err)
	}
}

// TestAThirdPartysClientLaunchesAndEndsASession with code that a public generator wrote
// from the contract alone.
func TestAThirdPartysClientLaunchesAndEndsASession(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	c, err := stockclient.NewClientWithResponses(d.Broker)
	must(t, err)
	ctx, userID, name := t.Context(), "u-theo", "theo"
	made, err := c.CreateSessionWithResponse(ctx, nil, stockclient.Launch{Image: new("demo"), Zone: "east", User: &stockclient.LaunchUser{Id: &userID, Name: &name}})
	must(t, err)
	if made.JSON201 == nil {
		t.Fatalf("the launch was answered %s %s", made.Status(), made.Body)
	}
	one, err := made.JSON201.AsLaunchedSession()
	must(t, err)
	if one.State != stockclient.SessionStateAssigned || one.Token == "" {
		t.Fatalf("the launch was answered %s %s", made.Status(), made.Body)
	}
	id := one.Id
	read, err := c.GetSessionWithResponse(ctx, id, nil)
	must(t, err)
	if read.JSON200 == nil || read.JSON200.User == nil || read.JSON200.User.Id != "u-theo" {
		t.Fatalf("the session was answered %s %s", read.Status(), read.Body)
	}
	ended, err := c.EndSessionWithResponse(ctx, id)
	must(t, err)
	if ended.StatusCode() != http.StatusNoContent {
		t.Fatalf("its end was answered %s %s", ended.Status(), ended.Body)
	}
	d.untilEnded(t, id)
	none, err := c.GetSessionWithResponse(ctx, "gr-none", nil)
	must(t, err)
	if none.ApplicationproblemJSON4XX == nil || none.ApplicationproblemJSON4XX.Code != "not_found" {
		t.Errorf("what is not there was answered %s %s", none.Status(), none.Body)
	}
}
