package resources_test

import (
	"encoding/pem"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAWebhookAsHCLHasEveryField, except for the secret, which apply keeps. Another installation
// has none to keep, and says so.
func TestAWebhookAsHCLHasEveryField(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	webhook := staging.Webhook{
		Name: "w", URL: "https://example.org/?key=${a}", Secret: "whsec_Z3JlZW5yb29tLXdlYmhvb2stc2VjcmV0LWV4YW1wbGU=",
		Events: []staging.EventType{staging.EventAssigned, staging.EventEnded}, Zones: []string{"east"}, Images: []string{"i"}, Staging: []string{"c"},
		CACert:      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		GiveUpAfter: staging.Duration(time.Hour),
	}
	set := webhook
	set.SecretFingerprint = "is of answers alone"
	everyField(t, "webhook", reflect.ValueOf(set))
	c := clitest.New(t, "")
	c.Broker.WebhookByName["w"] = webhook
	c.Stdin = c.Want(exit.OK, []string{"get", "all", "-o", "hcl"})
	if strings.Contains(c.Stdin, "whsec_") || strings.Contains(c.Stdin, "fingerprint") {
		t.Errorf("get all -o hcl:\n%s", c.Stdin)
	}
	c.Want(exit.OK, []string{"plan", "-f", "-"}, "Nothing to change")
	c.Stdin = strings.Replace(c.Stdin, `"1h0m0s"`, `"2h0m0s"`, 1)
	c.Want(exit.OK, []string{"apply", "-f", "-"}, "give_up_after")
	webhook.GiveUpAfter *= 2
	if diff := cmp.Diff(webhook, c.Broker.WebhookByName["w"]); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
}
