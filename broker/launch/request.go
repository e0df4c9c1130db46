package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
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
	// HungUp is ready to be received from once the caller no longer waits for the answer; nil
	// where that is not known. A launch that has not begun to make or claim a session is
	// dropped then; another one goes on.
	HungUp <-chan struct{}
	// RequestHost is the host that the launch was sent to, without port. It
	// replaces staging.RequestHost in the access settings of a session made on demand.
	RequestHost string
	// GroupsOfProvider: the groups come from an identity provider, which knows others
	// besides greenroom's; those count as none.
	GroupsOfProvider bool
	// Scope bounds the images and zones that the launch may use; the zero value does not.
	Scope access.Scope
	// Only is the one step that may serve the launch, in its own zone alone; "" for all steps in
	// all zones that the launch searches. It is how the greenroom of another region asks, and such
	// a launch never crosses again.
	Only staging.Step
	// StartBy is by when the launch must have begun; zero for no such time. A caller that does
	// not wait any longer can tell so that nothing is given to it any more.
	StartBy time.Time
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
	// Peer is the name of the peer that gave the session; "" for a session of this region.
	Peer string
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
	if err := req.checkOnly(); err != nil {
		return nil, err
	}
	var selector staging.Selector
	if req.Selector != "" {
		var err error
		if selector, err = staging.ParseSelector(req.Selector); err != nil {
			return nil, staging.Invalid("launch", "selector", "%s", err)
		}
	}
	req.IdempotencyKey = scopedKey(req.KeyScope, req.IdempotencyKey)
	req.Wait = min(req.Wait, MaxWait)
	req.RequestID = access.CallOf(ctx).RequestID
	l := &launch{Launcher: b, Request: req, selector: selector, provided: provided, began: time.Now(), tried: map[string]bool{}, traceID: tracing.ID(ctx)}
	ctx, span := tracing.Start(ctx, "resolve")
	err := l.resolve(ctx)
	span.End(err)
	return l, err
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
	if l.Selector == "" && !l.images[0].IsEnabled() {
		return &refusal.Error{Kind: refusal.ImageDisabled, Detail: fmt.Sprintf("image %s is disabled; an administrator can enable it", l.Image)}
	}
	l.settings = staging.Resolve(l.groups)
	if err := l.CheckEnvironment(l.settings); err != nil {
		return err
	}
	l.claim = staging.Claim{
		ID: staging.NewClaimOf(l.broker()), User: l.User, Zone: l.Zone, IdempotencyKey: l.IdempotencyKey,
		RequestID: l.RequestID,
	}
	if l.IdempotencyKey != "" {
		l.claim.Fingerprint = l.Fingerprint() // of the request as it came, before an image is chosen
	}
	if l.asked = l.Request.Launch; l.Selector != "" {
		l.asked.Image = ""
	}
	l.choose(l.images[0])
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
	named := []string{l.Image}
	if l.Selector != "" {
		named = nil
	} else if !l.Scope.AllowsImage(l.Image) {
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
		staging.KindImage: named, staging.KindZone: {l.Zone}, staging.KindGroup: names,
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
	if l.images = l.candidateImages(); len(l.images) == 0 {
		if l.Selector != "" {
			return noneSelected(l.Selector)
		}
		return unknownImage(l.Image)
	}
	if zone, ok := l.resources.Zones[l.Zone]; !ok || !mayHaveZone(l.Scope, zone, l.groups) {
		return unknownZone(l.Zone)
	}
	if l.GroupsOfProvider {
		l.Groups = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(unknown, name) })
		return nil
	}
	if len(unknown) > 0 {
		return unknownGroup(names, unknown[0])
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

// Unknown begins the message of a field that names what does not exist.
const Unknown = "is unknown: "

func unknownName(field string, kind staging.ResourceKind, name string) error {
	return staging.Invalid("launch", field, Unknown+"there is no %s %q; GET /v1/%ss lists them", kind, name, kind)
}

// unknownGroup refuses groups with one that there is not.
func unknownGroup(groups []string, unknown string) error {
	return unknownName(fmt.Sprintf("groups[%d]", slices.Index(groups, unknown)), staging.KindGroup, unknown)
}

// noneSelected refuses a selector that chooses nothing that the user may have.
func noneSelected(selector string) error {
	return staging.Invalid("launch", "selector", "chooses no image: none that is enabled, nor a staging config of one, has labels that match %q; GET /v1/images and /v1/staging list them", selector)
}

func unknownImage(name string) error { return unknownName("image", staging.KindImage, name) }

func unknownZone(name string) error { return unknownName("zone", staging.KindZone, name) }
