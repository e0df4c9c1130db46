package gateway

import (
	"context"
	"net/url"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Links makes links by which users open their sessions through a gateway.
type Links struct {
	Site     Site
	Registry interface {
		Keys(ctx context.Context, name string) (staging.SigningKeys, error)
	}
}

// Link is a link that opens a session once.
type Link struct {
	URL string `json:"url"`
	// ExpiresAt is until when it must be opened.
	ExpiresAt time.Time `json:"expires_at"`
}

// Make returns a fresh link to a session, which must be a user's: to the port with a label, or
// with "" to the session's default port, and there to a path, or with "" to the first page.
// Errors are a *staging.InvalidError or a *refusal.Error.
func (l Links) Make(ctx context.Context, s staging.Session, label, path string) (Link, error) {
	if label != "" {
		if _, _, ok := s.Upstream(label); !ok {
			return Link{}, staging.Invalid("link", "port", "session %s has no port %q", s.ID, label)
		}
	}
	if path != "" && destination(path) != path {
		return Link{}, staging.Invalid("link", "path", "must be a path of the session such as /lab?x=1, is %q", path)
	}
	if s.Claim == "" || s.User == nil || s.State.Over() {
		return Link{}, &refusal.Error{Kind: refusal.NotAssigned, Detail: "session " + s.ID + " is " + string(s.State) + ", and only a user's session can be opened; launch anew"}
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	keys, err := l.Registry.Keys(ctx, staging.GatewaySecret)
	if err != nil {
		return Link{}, refusal.NoConsul(err)
	}
	now := time.Now()
	code := newCode(s.Claim, now)
	return Link{URL: l.Site.link(s, label, path, code.sign(keys, aCode, s.ID, now)), ExpiresAt: code.until.UTC().Truncate(time.Second)}, nil
}

// link returns the address at which a code is exchanged.
func (s Site) link(of staging.Session, label, path, code string) string {
	q := url.Values{"code": {code}}
	if path != "" && path != "/" {
		q.Set("to", path)
	}
	return s.at(of.ID, label) + openPath + "?" + q.Encode()
}
