package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// launch is one launch under way.
type launch struct {
	LaunchRequest
	claim     staging.Claim
	image     staging.Image
	resources staging.Resources
	// settings are what the user's groups come to.
	settings staging.Settings
	// secret makes the session's access token.
	secret []byte
	// tried are the sessions that this launch has had decided: none is tried again,
	// whatever became of it.
	tried map[string]bool
	// keyIndex is the version of the key's record in Consul, once it is this
	// launch's.
	keyIndex uint64
	// claimedAt is when a session was claimed, by Redis's clock, heardAt when that was
	// heard.
	claimedAt, heardAt time.Time
	// redisAway: Redis did not answer this launch.
	redisAway bool
	// unvouched: it did, and was not believed.
	unvouched bool
	attempts  []staging.Attempt
	timings   staging.Timings
	began     time.Time
	logger    *logrus.Entry
}

// log begins a line about the launch: most say none.
func (l *launch) log() *logrus.Entry {
	line := l.logger.WithFields(logrus.Fields{logfield.Claim: l.claim.ID, logfield.Image: l.Image, logfield.Zone: l.Zone, logfield.UserID: l.User.ID})
	if l.RequestID != "" {
		line.Data[logfield.RequestID] = l.RequestID
	}
	return line
}

// in is the launch as it is served from a zone.
func (l *launch) in(zone string) staging.Launch {
	at := l.Launch
	at.Zone = zone
	return at
}

// Launch gives a user a session. It tries, in this order, a staged session of
// the zone, staged ones of its alternate zones, one made on demand in the zone,
// and on demand in the alternate zones; who has a session of an image with a go
// hook and comes with a URL is given that one. The same Idempotency-Key gives
// the same session. An error is an *refusal.Error or a *staging.InvalidError.
//
// Whoever calls must not cancel ctx once a claim has begun because a client
// hung up: the launch is bounded by its own deadlines.
//
// A launch of several sessions is LaunchSeveral's.
func (b *Broker) Launch(ctx context.Context, req LaunchRequest) (LaunchResult, error) {
	l, err := b.newLaunch(ctx, req)
	if err != nil {
		return LaunchResult{}, err
	}
	for {
		l.attempts = nil
		s, err := b.serve(ctx, l)
		var repeat *repeatError
		if errors.As(err, &repeat) {
			// Another launch holds the key: its session is the answer.
			result, err := b.awaitRepeat(ctx, l)
			if errors.Is(err, errKeyFree) {
				continue
			}
			return result, err
		}
		var served *servedError
		if errors.As(err, &served) {
			b.rebind(ctx, l, served.sessions)
			return b.repeated(l, served.sessions[0], false), nil
		}
		if err != nil {
			return LaunchResult{}, b.refuse(ctx, l, err)
		}
		if l.redisAway {
			b.tellRedis(l, s)
		}
		result := l.result(s)
		if s.State == staging.Assigned && !result.Existing {
			b.Meter.Launched(s.Origin, l.timings)
		}
		return result, nil
	}
}

// newLaunch checks a launch and finds what it needs. Nothing has been taken when it
// fails.
func (b *Broker) newLaunch(ctx context.Context, req LaunchRequest) (*launch, error) {
	if req.GroupsOfProvider {
		var err error
		if req.Groups, err = b.ourGroups(ctx, req.Groups); err != nil {
			return nil, err
		}
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if err := staging.CheckIdempotencyKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	req.Wait = min(req.Wait, MaxWait)
	req.RequestID = access.CallOf(ctx).RequestID
	l := &launch{LaunchRequest: req, began: time.Now(), tried: map[string]bool{}, logger: b.Log}
	return l, b.resolve(ctx, l)
}

// result is the launch's answer with a session.
func (l *launch) result(s staging.Session) LaunchResult {
	l.timings.Total = time.Since(l.began)
	token := staging.AccessToken(l.secret, s.ID, s.Claim)
	last := l.attempts[len(l.attempts)-1]
	return LaunchResult{
		Session: s, Attempts: l.attempts, Timings: l.timings, Token: token, ConnectURL: l.image.ConnectTo(s, token),
		Existing: last.Step == staging.StepExisting,
	}
}

// accessSecret names the secret that access tokens are made with.
const accessSecret = sessions.AccessSecret

// resolve finds what the launch needs, and makes its claim. Nothing has been
// taken when it fails.
func (b *Broker) resolve(ctx context.Context, l *launch) error {
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	l.resources = b.Registry.Resources()
	groups, unknown := l.find()
	if unknown != nil {
		// Perhaps it was stored by another broker a moment ago.
		var err error
		if l.resources, err = b.Registry.Refresh(ctx); err != nil {
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
		ID: staging.NewClaimID(), User: l.User, Image: l.Image, Zone: l.Zone, IdempotencyKey: l.IdempotencyKey,
		RequestID: l.RequestID, Terms: l.settings.TermsFor(l.image), MaxSessionsPerUser: l.settings.MaxSessionsPerUser,
	}
	if l.IdempotencyKey != "" {
		l.claim.Fingerprint = l.Fingerprint()
	}
	var err error
	if l.secret, err = b.Registry.Secret(ctx, accessSecret); err != nil {
		return refusal.NoConsul(err)
	}
	return nil
}

// find looks up what the launch names. The error names the field of what is
// not there.
func (l *launch) find() (groups []staging.Group, err error) {
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

// serve goes down the list.
func (b *Broker) serve(ctx context.Context, l *launch) (staging.Session, error) {
	if s, err := b.existing(ctx, l); err != nil || s.ID != "" {
		return s, err
	}
	here, elsewhere := l.places()
	if b.stageable(l) {
		for _, p := range here {
			if s, err := b.stagedIn(ctx, l, p); err != nil || s.ID != "" {
				return s, err
			}
		}
		for _, p := range elsewhere {
			if s, err := b.stagedIn(ctx, l, p); err != nil || s.ID != "" {
				return s, err
			}
		}
	}
	return b.onDemand(ctx, l, append(here, elsewhere...))
}

// attempt notes a step that was tried.
func (b *Broker) attempt(l *launch, step staging.Step, zone string, outcome staging.Outcome, reason string) {
	l.attempts = append(l.attempts, staging.Attempt{Step: step, Zone: zone, Outcome: outcome, Reason: reason})
	b.Meter.Attempt(step, outcome)
	if outcome != staging.OutcomeServed && outcome != staging.OutcomeStarting {
		l.log().WithFields(logrus.Fields{logfield.Step: step, logfield.At: zone, logfield.Outcome: outcome, logfield.Reason: reason}).Info("step did not serve")
	}
}

// refuse frees the launch's key, so that the caller may try again with it, and
// gives the error its attempts.
func (b *Broker) refuse(ctx context.Context, l *launch, err error) error {
	// Only this claim's: a key that is another launch's stays as it is.
	b.letKeyGo(l)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := b.Store.Release(ctx, l.IdempotencyKey, l.claim.ID, ""); err != nil {
		l.log().WithError(err).Warn("could not free the idempotency key; it frees itself when its lease ends")
	}
	var e *refusal.Error
	if errors.As(err, &e) {
		e.Attempts = l.attempts
		b.Meter.Refused(e.Kind)
		l.log().WithError(err).WithField(logfield.Code, e.Kind).Warn("launch refused")
	}
	return err
}

// sessionLimit tells a user which sessions are too many.
func sessionLimit(l *launch, held []string) *refusal.Error {
	if l.Several() {
		return severalLimit(l, held)
	}
	return &refusal.Error{
		Kind: refusal.SessionLimit, Sessions: held,
		Detail: fmt.Sprintf("the user's groups allow %d at once, and these count: %s; end one of them first",
			l.settings.MaxSessionsPerUser, joined(held)),
	}
}
