package staging

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Webhook sends events to a receiver of the operator's, as Standard Webhooks has it: each
// message is a signed POST, delivered at least once, and in order for a session.
type Webhook struct {
	Name string `json:"name"`
	// URL is where messages are posted, http or https. It may hold a secret of the receiver's.
	URL string `json:"url"`
	// Secret signs the messages: WebhookSecretPrefix and base64 of 24 to 64 bytes. Nobody can
	// read it again.
	Secret string `json:"secret"`
	// SecretFingerprint is that of the stored secret, in answers alone.
	SecretFingerprint string `json:"secret_fingerprint,omitempty"`
	// Events are the types that are sent; empty for all.
	Events []EventType `json:"events,omitempty"`
	// Zones, Images and Staging bound what is sent to events of one of them; empty for all.
	Zones   []string `json:"zones,omitempty"`
	Images  []string `json:"images,omitempty"`
	Staging []string `json:"staging,omitempty"`
	// CACert are certificates in PEM that may sign the receiver's, beside those of the system.
	CACert string `json:"ca_cert,omitempty"`
	// GiveUpAfter is how long one message is tried before it becomes a dead letter; 0 is
	// DefaultGiveUpAfter.
	GiveUpAfter Duration `json:"give_up_after,omitempty"`
}

const (
	// WebhookSecretPrefix begins a secret, as in Standard Webhooks.
	WebhookSecretPrefix = "whsec_"
	// DefaultGiveUpAfter and MaxGiveUpAfter are of Webhook.GiveUpAfter. A message that was
	// tried for a week is of little use.
	DefaultGiveUpAfter = Duration(24 * time.Hour)
	MaxGiveUpAfter     = Duration(7 * 24 * time.Hour)
	// MaxWebhooks is how many webhooks there may be: each has a queue, and its own connections.
	MaxWebhooks = 16

	minWebhookSecret, maxWebhookSecret = 24, 64
	maxWebhookURL                      = 2048
	maxWebhookCA                       = 64 << 10
	maxWebhookFilter                   = 100
)

// Validate returns an *InvalidError, or nil.
func (w Webhook) Validate() error {
	var p problems
	p.name("name", w.Name)
	p.webhookURL("url", w.URL)
	if key, err := w.key(); err != nil || len(key) < minWebhookSecret || len(key) > maxWebhookSecret {
		p.add("secret", "must be %s and the base64 of %d to %d random bytes; make one with: echo %s$(openssl rand -base64 32)",
			WebhookSecretPrefix, minWebhookSecret, maxWebhookSecret, WebhookSecretPrefix)
	}
	for i, t := range w.Events {
		if !slices.Contains(EventTypes, t) {
			p.add(fmt.Sprintf("events[%d]", i), "must be a type of event, is %q; they are %s", t, Joined(EventTypes))
		}
	}
	for _, list := range []struct {
		field string
		names []string
	}{{"zones", w.Zones}, {"images", w.Images}, {"staging", w.Staging}} {
		if len(list.names) > maxWebhookFilter {
			p.add(list.field, "must have at most %d names, has %d", maxWebhookFilter, len(list.names))
		}
	}
	if w.CACert != "" && (len(w.CACert) > maxWebhookCA || !x509.NewCertPool().AppendCertsFromPEM([]byte(w.CACert))) {
		p.add("ca_cert", "must be certificates in PEM, at most %d KiB, or absent", maxWebhookCA>>10)
	}
	p.term("give_up_after", w.GiveUpAfter)
	if w.GiveUpAfter > MaxGiveUpAfter {
		p.add("give_up_after", "must be at most %s, is %s", MaxGiveUpAfter.Brief(), w.GiveUpAfter.Brief())
	}
	return p.err(fmt.Sprintf("webhook %q", w.Name))
}

func (p *problems) webhookURL(field, text string) {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxWebhookURL:
		p.add(field, "must be at most %d characters, is %d", maxWebhookURL, len(text))
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		p.add(field, "must be a URL of a receiver, https://HOST/PATH or http://HOST/PATH")
	case u.User != nil:
		p.add(field, "must have no user or password: the receiver checks the signature instead")
	case u.Fragment != "":
		p.add(field, "must have no fragment (#...): it is never sent")
	}
}

// key returns the bytes that sign.
func (w Webhook) key() ([]byte, error) {
	text, ok := strings.CutPrefix(w.Secret, WebhookSecretPrefix)
	if !ok {
		return nil, fmt.Errorf("a webhook's secret begins with %s", WebhookSecretPrefix)
	}
	return base64.StdEncoding.DecodeString(text)
}

// Sign returns the value of webhook-signature for a message: the HMAC-SHA256 over its id, the
// time of the attempt in seconds since 1970, and the body.
func (w Webhook) Sign(id string, at time.Time, body []byte) (string, error) {
	key, err := w.key()
	if err != nil {
		return "", fmt.Errorf("sign a message of webhook %s: %w", w.Name, err)
	}
	sum := hmac.New(sha256.New, key)
	sum.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	sum.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(sum.Sum(nil)), nil
}

// Shown returns the webhook as administrators see it: a fingerprint stands for the secret.
func (w Webhook) Shown() Webhook {
	w.SecretFingerprint = w.Fingerprint()
	w.Secret = Hidden
	return w
}

// Fingerprint returns a short text that tells secrets apart. A secret is random and long, so
// that it does not follow from it.
func (w Webhook) Fingerprint() string {
	if w.Secret == Hidden {
		return w.SecretFingerprint
	}
	sum := sha256.Sum256([]byte("greenroom webhook secret " + w.Secret))
	return hex.EncodeToString(sum[:8])
}

// MapSecrets implements Confidential. Many receivers have their password in the URL.
func (w Webhook) MapSecrets(change func(Secret) any) Webhook {
	w.URL = text(change(Secret{Field: "url", Value: w.URL}))
	w.Secret = text(change(Secret{Field: "secret", Value: w.Secret}))
	return w
}

// GivesUpAfter returns how long one message is tried.
func (w Webhook) GivesUpAfter() time.Duration { return cmp.Or(w.GiveUpAfter, DefaultGiveUpAfter).Std() }

// Wants reports whether an event is sent where its image is one that the webhook wants.
func (w Webhook) Wants(e Event) bool {
	return within(w.Events, e.Type) && within(w.Zones, e.Zone) && within(w.Staging, e.Pool)
}

// WantsImage reports whether events of an image are sent; "" is that of events which have none.
func (w Webhook) WantsImage(image string) bool { return within(w.Images, image) }

// within reports whether a bound of a webhook has a value in it. An empty one bounds nothing.
func within[T comparable](bound []T, value T) bool {
	return len(bound) == 0 || slices.Contains(bound, value)
}
