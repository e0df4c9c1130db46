package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// launch is one launch under way.
type launch struct {
	LaunchRequest
	claim    staging.Claim
	image    staging.Image
	zone     staging.Zone
	attempts []staging.Attempt
	timings  staging.Timings
	began    time.Time
	log      *logrus.Entry
}

// Launch gives a user a session: a staged one of the zone, or else one made on
// demand. The same Idempotency-Key gives the same session. An error is an
// *Error or a *staging.InvalidError.
//
// Whoever calls must not cancel ctx once a claim has begun because a client
// hung up: the launch is bounded by its own deadlines.
func (b *Broker) Launch(ctx context.Context, req LaunchRequest) (LaunchResult, error) {
	if err := req.Validate(); err != nil {
		return LaunchResult{}, err
	}
	if err := staging.CheckIdempotencyKey(req.IdempotencyKey); err != nil {
		return LaunchResult{}, err
	}
	req.Wait = min(req.Wait, MaxWait)
	l := &launch{LaunchRequest: req, began: time.Now()}
	l.claim = staging.Claim{ID: staging.NewClaimID(), User: req.User, Image: req.Image, Zone: req.Zone, IdempotencyKey: req.IdempotencyKey}
	if req.IdempotencyKey != "" {
		l.claim.Fingerprint = req.Fingerprint()
	}
	l.log = b.Log.WithFields(logrus.Fields{
		fieldClaim: l.claim.ID, fieldImage: req.Image, fieldZone: req.Zone, fieldUser: req.User.ID,
	})
	pools, err := b.resolve(ctx, l)
	if err != nil {
		return LaunchResult{}, err
	}
	for {
		s, err := b.serve(ctx, l, pools)
		var repeat *repeatError
		if errors.As(err, &repeat) {
			// Another launch holds the key: its session is the answer.
			result, err := b.awaitRepeat(ctx, l)
			if errors.Is(err, errKeyFree) {
				continue
			}
			return result, err
		}
		if err != nil {
			return LaunchResult{}, b.refuse(ctx, l, err)
		}
		l.timings.Total = time.Since(l.began)
		if s.State == staging.Assigned {
			b.Meter.Launched(s.Origin, l.timings)
		}
		l.log.WithFields(logrus.Fields{
			fieldSession: s.ID, "origin": s.Origin, "state": s.State, "total_ms": l.timings.Total.Milliseconds(),
		}).Info("launch served")
		return LaunchResult{Session: s, Attempts: l.attempts, Timings: l.timings}, nil
	}
}

// resolve finds the launch's resources, and the pools that may serve it.
func (b *Broker) resolve(ctx context.Context, l *launch) ([]staging.Config, error) {
	res := b.Registry.Resources()
	find := func() (ok bool) {
		var haveImage, haveZone bool
		l.image, haveImage = res.Images[l.Image]
		l.zone, haveZone = res.Zones[l.Zone]
		return haveImage && haveZone
	}
	if !find() {
		// Perhaps it was stored by another broker a moment ago.
		ctx, cancel := context.WithTimeout(ctx, consulTimeout)
		defer cancel()
		var err error
		if res, err = b.Registry.Refresh(ctx); err != nil {
			return nil, consulUnavailable(err)
		}
		if !find() {
			if l.image.Name == "" {
				return nil, staging.Invalid("launch", "image", "is unknown: there is no image %q; GET /v1/images lists them", l.Image)
			}
			return nil, staging.Invalid("launch", "zone", "is unknown: there is no zone %q; GET /v1/zones lists them", l.Zone)
		}
	}
	return res.Pools(l.Zone, l.Image), nil
}

// serve goes down the list: staged in the zone, then on demand in the zone.
func (b *Broker) serve(ctx context.Context, l *launch, pools []staging.Config) (staging.Session, error) {
	if len(pools) == 0 {
		b.attempt(l, staging.StepStaged, staging.OutcomeSkipped,
			fmt.Sprintf("no staging config for image %s in zone %s", l.Image, l.Zone))
	}
	for _, pool := range pools {
		s, err := b.staged(ctx, l, pool)
		if err != nil || s.ID != "" {
			return s, err
		}
	}
	return b.onDemand(ctx, l)
}

// attempt notes a step that was tried.
func (b *Broker) attempt(l *launch, step staging.Step, outcome staging.Outcome, reason string) {
	l.attempts = append(l.attempts, staging.Attempt{Step: step, Zone: l.Zone, Outcome: outcome, Reason: reason})
	b.Meter.Attempt(step, outcome)
	if outcome != staging.OutcomeServed && outcome != staging.OutcomeStarting {
		l.log.WithFields(logrus.Fields{"step": step, "outcome": outcome, fieldReason: reason}).Info("step did not serve")
	}
}

// refuse frees the launch's key, so that the caller may try again with it, and
// gives the error its attempts.
func (b *Broker) refuse(ctx context.Context, l *launch, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind != KeyReused {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := b.Store.Release(ctx, l.IdempotencyKey, l.claim.ID); err != nil {
			l.log.WithError(err).Warn("could not free the idempotency key; it frees itself when its lease ends")
		}
	}
	if e != nil {
		e.Attempts = l.attempts
		l.log.WithError(err).WithField("code", e.Kind).Warn("launch refused")
	}
	return err
}

func redisUnavailable(err error) *Error {
	return &Error{
		Kind: RedisUnavailable, Detail: "Redis does not answer, so no session can be claimed; try again shortly",
		RetryAfter: 2 * time.Second, Cause: err,
	}
}

func consulUnavailable(err error) *Error {
	return &Error{
		Kind: ConsulUnavailable, Detail: "Consul does not answer, and no session is given away without it; try again shortly",
		RetryAfter: 2 * time.Second, Cause: err,
	}
}

func nomadUnavailable(err error) *Error {
	return &Error{
		Kind: NomadUnavailable, Detail: "Nomad does not answer; try again shortly",
		RetryAfter: 2 * time.Second, Cause: err,
	}
}
