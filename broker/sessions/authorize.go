package sessions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Access is a request for a session that a reverse proxy wants checked.
type Access struct {
	Session string
	// Tokens are all that the request carries, wherever a token may be: one of them must
	// be the session's.
	Tokens []string
	// Origin is the request's header of that name; "" where it has none.
	Origin string
	// RequestHost is the host that the request was sent to, without port.
	RequestHost string
	// Port is the label of the port that the request is for; "" for the default.
	Port string
}

// Authorize returns the session, with its user, if a request may pass to it: the request
// must carry the session's own access token, and come from a page of the zone's
// allow_origin_domain. A request without an Origin, as a browser sends for a page that
// its user opens, needs the token alone. What is let through counts as a keepalive.
//
// Errors are Unauthorized, Forbidden, UserLocked, or about a server that does not answer: of Redis and
// Consul one is enough, and of a session that was checked in the last minutes neither is
// needed.
func (s *Sessions) Authorize(ctx context.Context, a Access) (staging.Session, error) {
	if len(a.Tokens) == 0 {
		return staging.Session{}, unauthorized()
	}
	read, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	keys, err := s.Registry.Keys(read, staging.AccessSecret)
	if err != nil {
		return staging.Session{}, refusal.NoConsul(err)
	}
	found, err := s.Assigned(ctx, a.Session)
	var e *refusal.Error
	if errors.As(err, &e) && e.Kind == refusal.NotFound {
		// A caller without the token learns nothing, not even that there is no session.
		return staging.Session{}, unauthorized()
	}
	if err != nil {
		return staging.Session{}, err
	}
	// A session's program may have a bearer token of its own, and a browser a
	// cookie of another session: one right token among them is enough.
	accepted := keys.Accepted(time.Now())
	if !slices.ContainsFunc(a.Tokens, func(t string) bool { return staging.ValidAccessToken(accepted, found.ID, found.Claim, t) }) {
		return staging.Session{}, unauthorized()
	}
	if found.User != nil {
		locked, err := s.Registry.UserLocked(read, found.User.ID)
		if err != nil {
			return staging.Session{}, refusal.NoConsul(err)
		}
		if locked {
			return found, refusal.Locked(&access.LockedError{UserID: found.User.ID})
		}
	}
	if found.State != staging.Assigned || found.User == nil {
		return found, forbidden("session %s is %s", found.ID, found.State)
	}
	resources := s.Registry.Resources()
	zone, ok := resources.Zones[found.Zone]
	switch {
	case a.Origin == "":
	case !ok && resources.HasZone(found.Zone):
		return found, refusal.Unreadable(resources, staging.KindZone, found.Zone)
	case !ok:
		return found, forbidden("zone %s of the session is gone, so no origin is allowed", found.Zone)
	case !zone.AllowsOrigin(a.Origin, a.RequestHost):
		return found, forbidden("origin %s is not within the allow_origin_domain of zone %s", a.Origin, found.Zone)
	}
	if _, _, ok := found.Upstream(a.Port); a.Port != "" && found.Address != "" && !ok {
		return found, &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("session %s has no port %q: it has %s", found.ID, a.Port, portsOf(found))}
	}
	s.Used(found.ID)
	return found, nil
}

// portsOf returns the labels of a session's ports, in words.
func portsOf(s staging.Session) string {
	if len(s.Ports) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(s.Ports)), ", ")
}

// Assigned reads a session that is expected to be a user's. Its fate record decides where
// Redis does not answer, does not have the session, or has it as unused: a proxy cuts off the
// users whose requests are denied, so that an outage of Redis, or the loss of its data, must
// not deny any. Errors are a *refusal.Error.
func (s *Sessions) Assigned(ctx context.Context, id string) (staging.Session, error) {
	found, err := s.inRedis(ctx, id)
	if err == nil && (found.Origin == staging.OnDemand || !found.State.Unassigned()) {
		return found, nil
	}
	r, failed := s.records.of(ctx, id)
	switch {
	case failed == nil && !r.none:
		return r.session, nil
	case failed == nil && err != nil:
		return found, notFound(id, err)
	}
	return found, err
}

func unauthorized() *refusal.Error {
	return &refusal.Error{Kind: refusal.Unauthorized, Detail: "send the session's access token, which the launch's reply has"}
}

func forbidden(format string, args ...any) *refusal.Error {
	return &refusal.Error{Kind: refusal.Forbidden, Detail: fmt.Sprintf(format, args...)}
}
