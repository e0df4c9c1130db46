package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Authorize says whether a request may pass to a session: it must carry the
// session's own access token, and come from a page of the zone's
// allow_origin_domain. A request without an Origin, as a browser sends for a page that
// its user opens, has the token alone to show. The session given has its user.
//
// Errors are Unauthorized, Forbidden, or about a server that does not answer.
func (b *Broker) Authorize(ctx context.Context, a Access) (staging.Session, error) {
	if len(a.Tokens) == 0 {
		return staging.Session{}, unauthorized()
	}
	read, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	secret, err := b.Registry.Secret(read, staging.AccessSecret)
	if err != nil {
		return staging.Session{}, refusal.NoConsul(err)
	}
	s, err := b.Session(ctx, a.Session)
	var e *refusal.Error
	if errors.As(err, &e) && e.Kind == refusal.NotFound {
		// Whoever asks without the token learns nothing, not even this.
		return staging.Session{}, unauthorized()
	}
	if err != nil {
		return staging.Session{}, err
	}
	// A session's program may have a bearer token of its own, and a browser a
	// cookie of another session: any right one will do.
	if !slices.ContainsFunc(a.Tokens, func(t string) bool { return staging.ValidAccessToken(secret, s.ID, s.Claim, t) }) {
		return staging.Session{}, unauthorized()
	}
	if s.State != staging.Assigned || s.User == nil {
		return s, forbidden("session %s is %s", s.ID, s.State)
	}
	zone, ok := b.Registry.Resources().Zones[s.Zone]
	switch {
	case a.Origin == "":
	case !ok:
		return s, forbidden("zone %s of the session is gone, so no origin is allowed", s.Zone)
	case !zone.AllowsOrigin(a.Origin, a.RequestHost):
		return s, forbidden("origin %s is not within the allow_origin_domain of zone %s", a.Origin, s.Zone)
	}
	return s, nil
}

func unauthorized() *refusal.Error {
	return &refusal.Error{Kind: refusal.Unauthorized, Detail: "send the session's access token, which the launch's reply has"}
}

func forbidden(format string, args ...any) *refusal.Error {
	return &refusal.Error{Kind: refusal.Forbidden, Detail: fmt.Sprintf(format, args...)}
}
