package resources

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/greenroom/greenroom/internal/staging"
)

// webhookBlock is the content of a webhook's block.
type webhookBlock struct {
	URL         string   `hcl:"url"`
	Secret      string   `hcl:"secret"`
	Events      []string `hcl:"events,optional"`
	Zones       []string `hcl:"zones,optional"`
	Images      []string `hcl:"images,optional"`
	Staging     []string `hcl:"staging,optional"`
	CACert      string   `hcl:"ca_cert,optional"`
	GiveUpAfter string   `hcl:"give_up_after,optional"`
}

// webhook returns the webhook that a block declares, and what validation finds in it. Only the
// broker can judge what is hidden, which keeps what is stored there.
func (f *files) webhook(block *hcl.Block, name string, b webhookBlock) (staging.Webhook, error) {
	w := staging.Webhook{
		Name: name, URL: b.URL, Secret: b.Secret, Zones: b.Zones, Images: b.Images, Staging: b.Staging, CACert: b.CACert,
		GiveUpAfter: f.duration(block, "give_up_after", b.GiveUpAfter),
	}
	for _, t := range b.Events {
		w.Events = append(w.Events, staging.EventType(t))
	}
	whole := w
	if whole.Secret == staging.Hidden {
		whole.Secret = stand
	}
	if whole.URL == staging.Hidden {
		whole.URL = "https://hidden.invalid/"
	}
	return w, whole.Validate()
}

// stand is a valid secret, which stands for a hidden one while the rest is validated.
const stand = staging.WebhookSecretPrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// webhookChange is changeOf for a webhook. The broker shows no secret, but a fingerprint of it,
// by which a secret that stays is known.
func webhookChange(before string, w staging.Webhook, secrets bool) change {
	if was := asResource[staging.Webhook](before); was != nil {
		if was.Secret == staging.Hidden && was.SecretFingerprint == w.Fingerprint() {
			was.Secret = w.Secret
		}
		was.SecretFingerprint = ""
		before = asText(*was)
	}
	return changeOf(blockWebhook, w.Name, before, w, secrets)
}
