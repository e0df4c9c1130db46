package launch

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// MaxWait bounds how long a caller may wait for a session made on demand.
const MaxWait = 10 * time.Minute

// Request is a launch with how it is to be carried out.
type Request struct {
	staging.Launch
	// IdempotencyKey makes repeats of this launch return the same sessions; "" for none.
	IdempotencyKey string
	// KeyScope is whose the key is: the same key in another scope is another key. It must
	// not contain a line feed; "" is a scope, too.
	KeyScope string
	// Wait bounds how long a session made on demand is waited for; at most MaxWait.
	Wait time.Duration
	// RequestHost is the host that the launch was sent to, without port. It
	// replaces staging.RequestHost in the access settings of a session made on demand.
	RequestHost string
	// GroupsOfProvider: the groups come from an identity provider, which knows others
	// besides greenroom's; those that greenroom does not know are left out.
	GroupsOfProvider bool
}

// Result is one session that a launch served. Its state is assigned, or, for a
// session made on demand that was not up within Wait, pending or starting.
type Result struct {
	Session  staging.Session
	Attempts []staging.Attempt
	Timings  staging.Timings
	// Token opens the session to its user and is shown to nobody else. ConnectURL,
	// with the token in it, is where to send the user; "" where the image has none
	// or the session has no address yet.
	Token, ConnectURL string
	// Existing: the user had this session before, and its go hook ran.
	Existing bool
}

// newLaunch checks a request and resolves what it names. Nothing has been claimed when
// it fails.
func (b *Launcher) newLaunch(ctx context.Context, req Request) (*launch, error) {
	if req.GroupsOfProvider {
		var err error
		if req.Groups, err = b.knownGroups(ctx, req.Groups); err != nil {
			return nil, err
		}
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if err := staging.CheckIdempotencyKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	req.IdempotencyKey = scopedKey(req.KeyScope, req.IdempotencyKey)
	req.Wait = min(req.Wait, MaxWait)
	req.RequestID = access.CallOf(ctx).RequestID
	l := &launch{Launcher: b, Request: req, began: time.Now(), tried: map[string]bool{}}
	return l, l.resolve(ctx)
}

// knownGroups are those of an identity provider's groups that greenroom has.
func (b *Launcher) knownGroups(ctx context.Context, provided []string) ([]string, error) {
	res := b.Resources.Resources()
	if len(provided) > 0 && res.Index == 0 {
		// The copy was not read yet: without its groups a user would have no limits.
		ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
		defer cancel()
		var err error
		if res, err = b.Resources.Refresh(ctx); err != nil {
			return nil, refusal.NoConsul(err)
		}
	}
	var known []string
	for _, name := range provided {
		// A group that cannot be read is known: without it a user would have no limits.
		if _, ok := res.Groups[name]; ok || res.Unknown(staging.KindGroup, name) {
			known = append(known, name)
		}
	}
	return known, nil
}

// resolve finds what the launch needs, and makes its claim.
func (l *launch) resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	l.resources = l.Resources.Resources()
	groups, unknown := l.find()
	if unknown != nil {
		// Perhaps another broker stored it a moment ago.
		var err error
		if l.resources, err = l.Resources.Refresh(ctx); err != nil {
			return refusal.NoConsul(err)
		}
		if groups, unknown = l.find(); unknown != nil {
			return unknown
		}
	}
	if !l.image.IsEnabled() {
		return &refusal.Error{Kind: refusal.ImageDisabled, Detail: fmt.Sprintf("image %s is disabled; an administrator can enable it", l.Image)}
	}
	l.settings = staging.Resolve(groups)
	l.claim = staging.Claim{
		ID: staging.NewClaimOf(l.broker()), User: l.User, Image: l.Image, Zone: l.Zone, IdempotencyKey: l.IdempotencyKey,
		RequestID: l.RequestID, Terms: l.settings.TermsFor(l.image), MaxSessionsPerUser: l.settings.MaxSessionsPerUser,
	}
	if l.IdempotencyKey != "" {
		l.claim.Fingerprint = l.Fingerprint()
	}
	keys, err := l.Resources.Keys(ctx, staging.AccessSecret)
	if err != nil {
		return refusal.NoConsul(err)
	}
	l.secret = keys.Signing(time.Now())
	return nil
}

// find looks up what the launch names. The error names the field of what does not exist.
func (l *launch) find() (groups []staging.Group, err error) {
	for kind, names := range map[staging.ResourceKind][]string{
		staging.KindImage: {l.Image}, staging.KindZone: {l.Zone}, staging.KindGroup: l.Groups,
	} {
		for _, name := range names {
			if err := refusal.Unreadable(l.resources, kind, name); err != nil {
				return nil, err
			}
		}
	}
	var ok bool
	if l.image, ok = l.resources.Images[l.Image]; !ok {
		return nil, staging.Invalid("launch", "image", "is unknown: there is no image %q; GET /v1/images lists them", l.Image)
	}
	if _, ok = l.resources.Zones[l.Zone]; !ok {
		return nil, staging.Invalid("launch", "zone", "is unknown: there is no zone %q; GET /v1/zones lists them", l.Zone)
	}
	for i, name := range l.Groups {
		g, ok := l.resources.Groups[name]
		if !ok {
			return nil, staging.Invalid("launch", fmt.Sprintf("groups[%d]", i), "is unknown: there is no group %q; GET /v1/groups lists them", name)
		}
		groups = append(groups, g)
	}
	return groups, nil
}
