package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
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
	// besides greenroom's; those count as none.
	GroupsOfProvider bool
	// Scope bounds the images and zones that the launch may use; the zero value does not.
	Scope access.Scope
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
	// Groups are the names of the user's groups that applied, the default group among them.
	Groups []string
	// Existing: the user had this session before, and its go hook ran.
	Existing bool
}

// newLaunch checks a request and resolves what it names. Nothing has been claimed when
// it fails.
func (b *Launcher) newLaunch(ctx context.Context, req Request) (*launch, error) {
	var provided []string
	if req.GroupsOfProvider {
		// Their names may have any form.
		provided, req.Groups = req.Groups, nil
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
	l := &launch{Launcher: b, Request: req, provided: provided, began: time.Now(), tried: map[string]bool{}}
	return l, l.resolve(ctx)
}

// resolve finds what the launch needs, and makes its claim.
func (l *launch) resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	if locked, err := l.Locks.UserLocked(ctx, l.User.ID); err != nil {
		return refusal.NoConsul(err)
	} else if locked {
		return refusal.Locked(&access.LockedError{UserID: l.User.ID})
	}
	l.resources = l.Resources.Resources()
	unknown := l.find()
	if unknown != nil {
		// Perhaps another broker stored it a moment ago.
		var err error
		if l.resources, err = l.Resources.Refresh(ctx); err != nil {
			return refusal.NoConsul(err)
		}
		unknown = l.find()
	}
	// Foreign groups may be the reason why a user may not have something.
	l.foreign.report(l.provided, l.resources, l.log)
	if unknown != nil {
		if _, ok := errors.AsType[*staging.InvalidError](unknown); ok {
			l.logHidden()
		}
		return unknown
	}
	if !l.image.IsEnabled() {
		return &refusal.Error{Kind: refusal.ImageDisabled, Detail: fmt.Sprintf("image %s is disabled; an administrator can enable it", l.Image)}
	}
	l.settings = staging.Resolve(l.groups)
	if err := l.CheckEnvironment(l.settings); err != nil {
		return err
	}
	terms := l.settings.TermsFor(l.image)
	terms.Groups = strings.Join(staging.GroupNames(l.groups), ",")
	l.claim = staging.Claim{
		ID: staging.NewClaimOf(l.broker()), User: l.User, Image: l.Image, Zone: l.Zone, IdempotencyKey: l.IdempotencyKey,
		RequestID: l.RequestID, Terms: terms, MaxSessionsPerUser: l.maxSessions(),
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

// find looks up what the launch names. The error names the field of what does not exist. What
// the user may not have, or the caller's scope does not reach, does not exist for them, and the
// error is the same.
func (l *launch) find() error {
	if !l.Scope.AllowsImage(l.Image) {
		return unknownImage(l.Image)
	}
	if !l.Scope.AllowsZone(l.Zone) {
		return unknownZone(l.Zone)
	}
	names := l.Groups
	if l.GroupsOfProvider {
		names = l.provided
	}
	for kind, names := range map[staging.ResourceKind][]string{
		staging.KindImage: {l.Image}, staging.KindZone: {l.Zone}, staging.KindGroup: names,
	} {
		for _, name := range names {
			if err := refusal.Unreadable(l.resources, kind, name); err != nil {
				return err
			}
		}
	}
	var unknown []string
	if l.groups, unknown = l.resources.GroupsOf(names); len(l.groups) == 0 {
		if err := refusal.UnreadableDefault(l.resources); err != nil {
			return err
		}
	}
	var ok bool
	if l.image, ok = l.resources.Images[l.Image]; !ok || !l.image.AllowedTo(l.groups) {
		return unknownImage(l.Image)
	}
	if zone, ok := l.resources.Zones[l.Zone]; !ok || !zone.AllowedTo(l.groups) {
		return unknownZone(l.Zone)
	}
	if l.GroupsOfProvider {
		l.Groups = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(unknown, name) })
		return nil
	}
	if len(unknown) > 0 {
		return staging.Invalid("launch", fmt.Sprintf("groups[%d]", slices.Index(names, unknown[0])),
			"is unknown: there is no group %q; GET /v1/groups lists them", unknown[0])
	}
	return nil
}

// logHidden says in the log, and there alone, that a launch was refused because of what its
// user may not have.
func (l *launch) logHidden() {
	image, isImage := l.resources.Images[l.Image]
	zone, isZone := l.resources.Zones[l.Zone]
	what := ""
	switch {
	case isImage && !image.AllowedTo(l.groups):
		what = "image"
	case isZone && !zone.AllowedTo(l.groups):
		what = "zone"
	default:
		return
	}
	l.log().WithField(logfield.Groups, joined(staging.GroupNames(l.groups))).
		Warnf("launch refused as if the %s did not exist: its allowed_groups has none of the user's groups", what)
}

func unknownImage(name string) error {
	return staging.Invalid("launch", "image", "is unknown: there is no image %q; GET /v1/images lists them", name)
}

func unknownZone(name string) error {
	return staging.Invalid("launch", "zone", "is unknown: there is no zone %q; GET /v1/zones lists them", name)
}
