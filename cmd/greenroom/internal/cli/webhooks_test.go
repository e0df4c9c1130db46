package cli_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

const webhookFile = `
webhook "billing" {
  url           = "https://billing.example.org/greenroom?key=hunter2"
  secret        = "whsec_Z3JlZW5yb29tLXdlYmhvb2stc2VjcmV0LWV4YW1wbGU="
  events        = ["assigned", "ended"]
  give_up_after = "1h"
}
`

// TestWebhooksAreAppliedListedReplayedAndTested, and their secret is never shown: a plan knows
// by its fingerprint whether it changes.
func TestWebhooksAreAppliedListedReplayedAndTested(t *testing.T) {
	c := clitest.New(t, "")
	file := clitest.Dir(t, map[string]string{"webhook.hcl": webhookFile})
	c.Want(exit.Changes, []string{"plan", "-f", file}, "billing")
	c.Want(exit.OK, []string{"apply", "-f", file}, "created")
	c.Want(exit.OK, []string{"plan", "-f", file}, "Nothing to change")
	if out := c.Want(exit.OK, []string{"webhooks"}, "billing", "assigned,ended", "12", "2h59m", "the receiver answered 503"); strings.Contains(out, "whsec_") {
		t.Errorf("the secret is shown: %s", out)
	}
	var list struct {
		Items []struct {
			Name       string
			Deliveries staging.WebhookDeliveries
		}
	}
	if err := json.Unmarshal([]byte(c.Want(exit.OK, []string{"webhooks", "-o", "json"})), &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("%v: %+v", err, list)
	}
	if of := list.Items[0]; of.Name != "billing" || of.Deliveries.Pending != 12 || of.Deliveries.DeadLetters != 1 || of.Deliveries.Error != "the receiver answered 503" {
		t.Errorf("-o json has %+v", of)
	}
	other := clitest.Dir(t, map[string]string{"webhook.hcl": strings.Replace(webhookFile, "Z3Jl", "Z3Jm", 1)})
	if out := c.Want(exit.Changes, []string{"plan", "-f", other}, "secret"); strings.Contains(out, "whsec_") || strings.Contains(out, "hunter2") {
		t.Errorf("the plan shows a secret: %s", out)
	}
	c.Want(exit.OK, []string{"apply", "-f", other}, "updated")

	// What get prints is what apply reads, and keeps the secret.
	before := c.Broker.WebhookByName["billing"]
	c.Stdin = c.Want(exit.OK, []string{"get", "webhook", "billing", "-o", "hcl"}, `secret        = "(hidden)"`)
	c.Want(exit.OK, []string{"plan", "-f", "-"}, "Nothing to change")
	c.Stdin = strings.Replace(c.Stdin, `"1h0m0s"`, `"2h"`, 1)
	c.Want(exit.OK, []string{"apply", "-f", "-"}, "give_up_after")
	before.GiveUpAfter *= 2
	if after := c.Broker.WebhookByName["billing"]; !reflect.DeepEqual(before, after) {
		t.Errorf("stored %+v, want %+v", after, before)
	}

	c.Want(exit.OK, []string{"webhooks", "dead-letters", "billing"}, "7-0", "ended", "gr-1", "the receiver answered 400")
	c.Want(exit.OK, []string{"webhooks", "replay", "billing"})
	c.Want(exit.OK, []string{"webhooks", "replay", "billing", "1-0", "2-0"})
	c.Want(exit.NotFound, []string{"webhooks", "replay", "billing", "1-0", clitest.NoDeadLetter}, "1 of the 2 are pending again", "greenroom webhooks dead-letters billing")
	if want := []string{"billing 7-0", "billing 1-0", "billing 2-0", "billing 1-0"}; !slices.Equal(c.Broker.Replayed, want) {
		t.Errorf("replayed %v, want %v", c.Broker.Replayed, want)
	}
	c.Want(exit.Failed, []string{"webhooks", "test", "billing"})
	c.Want(exit.OK, []string{"delete", "webhook", "billing"})
	if len(c.Broker.WebhookByName) != 0 {
		t.Error("it is not deleted")
	}
}
