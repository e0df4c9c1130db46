package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestWebhooksOnThePage are made, tested and deleted there, their dead letters seen and sent
// again, and their secrets never shown.
func TestWebhooksOnThePage(t *testing.T) {
	d := sharedDev(t)
	ledger := startReceiver(t)
	ledger.answerWith(func(_ context.Context, m hookMessage) int {
		if m.event.Type == "test" {
			return 200
		}
		return 400
	})
	p := openLoggedIn(t, d)
	p.press("Webhooks")
	p.press("New webhook")
	p.fill("Name", "paged")
	p.fill("URL", "ftp://127.0.0.1/")
	p.fill("Secret", webhookSecret)
	p.fill("Events", "assigned")
	p.press("More")
	p.fill("Give up after", "1s")
	p.press("Save")
	until(t, "a URL that is none is refused at the field", func() (bool, string) { return strings.Contains(p.wrong("URL"), "https://HOST/PATH"), p.text() })
	p.fill("URL", ledger.URL)
	p.press("Save")
	t.Cleanup(func() {
		if r, err := d.call("DELETE", "/v1/webhooks/paged", ""); err != nil || r.status != 204 && r.status != 404 {
			t.Error(r.status, err)
		}
	})
	until(t, "the webhook is in the list", func() (bool, string) { return p.row("paged")["Events"] == "assigned", p.text() })
	p.press("Test paged")
	p.shows("The receiver of paged took the test message.")
	p.pictures("webhooks")

	d.untilReady(t, "demo-east", 3)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("demo", "east", "paula"), 201, &l)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil) })
	until(t, "the refused message is a dead letter", func() (bool, string) {
		row := p.row("paged")
		return row["Dead letters"] == "1", fmt.Sprint(row)
	})
	ledger.answerWith(nil)
	p.press("Dead letters of paged")
	p.shows("Dead letters of paged", l.ID, "the receiver answered 400")
	p.pictures("dead-letters")
	p.press("Send all again")
	until(t, "the replayed message comes", func() (bool, string) {
		return len(ledger.types(t, l.ID)) == 1, fmt.Sprint(ledger.types(t, l.ID))
	})
	until(t, "none is dead or pending", func() (bool, string) {
		row := p.row("paged")
		return row["Dead letters"] == "–" && row["Pending"] == "0", fmt.Sprint(row)
	})
	p.press("Edit paged")
	p.fill("Give up after", "2h")
	p.press("Save")
	until(t, "the edit keeps the secret", func() (bool, string) {
		var stored staging.Webhook
		d.ask(t, "GET", "/v1/webhooks/paged", nil, 200, &stored)
		return stored.GiveUpAfter == staging.Duration(2*3600e9) && stored.SecretFingerprint == staging.Webhook{Secret: webhookSecret}.Fingerprint(), fmt.Sprintf("%+v", stored)
	})
	if strings.Contains(p.text(), "whsec_") {
		t.Error("the page shows the secret")
	}
	p.press("Delete paged")
	p.shows("Delete the webhook paged?")
	p.press("Delete")
	until(t, "the webhook is gone", func() (bool, string) { return p.row("paged") == nil || len(p.row("paged")) == 0, p.text() })
}
