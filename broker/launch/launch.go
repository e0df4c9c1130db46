package launch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// The way of a launch, a file for each step:
//
//	request.go        check the request, resolve image, zone and groups, make the claim
//	reuse.go          the user has a session already: show it the URL
//	candidates.go     which pools may serve, in which order, and why the others may not
//	selected.go       the same where a selector chooses among images and pools
//	staged.go         claim ready sessions of a candidate (one Redis script)
//	exec_rights.go    may the assign hook run at all? asked before a fate is decided
//	commit.go         fates in Consul -> assign_hooks.go -> finished: now they are the user's
//	revision.go       pools of which no session of an older revision is given
//	on_demand.go      make a session, once it is this launch's turn (on_demand_queue.go);
//	                  await_up.go waits for it, await_room.go for room for it
//	without_redis.go  Redis is away or not trusted: sessions from listing.go, which all
//	                  launches share; fate_index.go and recorded.go: a user's sessions by
//	                  their fates; sync_redis.go: what Redis has missed
//	idempotency.go    a repeat gets the first launch's sessions
//	undo.go           give sessions back, destroy them, free the key
//	crossing.go       ask the broker of another region, whose zone is one of the launch's;
//	                  crossing_repeat.go: a repeat of a launch that did;
//	                  only_step.go: the launch of a broker that asks
//	limits.go         how much at once, deadlines; session_limits.go: how many sessions may
//	                  exist; breaker.go: a server did not answer

// Launcher serves launches. It may be used concurrently.
type Launcher struct {
	Parts
	limits
	// unfenced lets Redis decide alone for staged sessions.
	unfenced bool
	// maxSessionsPerUser is for users whose groups say nothing; 0 is no limit.
	maxSessionsPerUser int
	// keyLease is the lease of an Idempotency-Key in Redis, which long launches renew.
	keyLease time.Duration
	stopping *stopping
	// broker returns this broker's id, see Options.
	broker func() string
	// consul and nomad are tripped when that server did not answer a launch. The breaker of
	// Redis is in its client: every call of the broker meets it.
	consul, nomad breaker
	rights        execRights
	// The following are for launches without Redis.
	listings    *listings
	generations *newestGenerations
	decided     fateIndex
	sync        redisSync
	jobless     jobless
	foreign     foreignGroups
	// closing is done when the broker stops: retries in the background end then.
	closing context.Context
	close   context.CancelFunc
}

// Options are how launches are served.
type Options struct {
	// Bounds are how much is done at once; each that is 0 is DefaultBounds'.
	Bounds Bounds
	// Unfenced lets Redis decide alone: no fate is recorded of staged sessions. It is
	// faster, and a Redis that lost its newest writes gives a session to a second user.
	Unfenced bool
	// MaxSessionsPerUser is how many sessions a user may have whose groups set no limit; 0 is
	// no limit.
	MaxSessionsPerUser int
	// KeyLease is the lease of an Idempotency-Key in Redis; 0 is staging.KeyLease.
	KeyLease time.Duration
	// Broker returns the id under which Consul shows that this broker is alive, "" while it
	// does not: claims carry it, so that a scaler can end what a dead broker left. Nil: "".
	Broker func() string
}

// New returns a launcher on its parts.
func New(p Parts, o Options) *Launcher {
	if p.WakeShells == nil {
		p.WakeShells = func() {}
	}
	b := &Launcher{
		Parts: p, limits: newLimits(o.Bounds), unfenced: o.Unfenced, maxSessionsPerUser: o.MaxSessionsPerUser, keyLease: cmp.Or(o.KeyLease, staging.KeyLease),
		listings: newListings(p.Health, p.Fates), generations: newNewestGenerations(p.Fleet), stopping: newStopping(), broker: o.Broker,
	}
	b.decided.fates = p.Fates
	if b.broker == nil {
		b.broker = func() string { return "" }
	}
	b.closing, b.close = context.WithCancel(context.Background())
	return b
}

// Close ends what is retried in the background. Call it after the last launch has been
// answered.
func (b *Launcher) Close() { b.close() }

// launch is one launch under way.
type launch struct {
	*Launcher
	Request
	claim staging.Claim
	// images are those that may serve it: the one that it names, or those that its selector
	// chooses. image is the one that is tried, and choice says why where there was a choice.
	images   []staging.Image
	image    staging.Image
	selector staging.Selector
	choice   string
	// waitedInVain: it has waited for room, and none came.
	waitedInVain bool
	// atOnce: only room that is there counts, since another image is still to be tried.
	atOnce bool
	// pool is the only pool that is tried of the image; "" for all.
	pool      string
	resources staging.Resources
	// provided are the names of the user's groups at the identity provider, which may have any
	// form; groups are those that apply.
	provided []string
	groups   []staging.Group
	// settings are the resolved settings of the user's groups.
	settings staging.Settings
	// secret makes the sessions' access tokens.
	secret []byte
	// asked is the launch as it came, before an image is chosen, and crossed what peers gave.
	asked   staging.Launch
	crossed map[string]Result
	// tried are the sessions that this launch has had decided: none is tried again,
	// whatever became of it.
	tried map[string]bool
	// lost and failedHooks count the tries of a launch of several that ended with a lost
	// session, and with a failed assign hook.
	lost, failedHooks int
	// denied is Nomad's refusal to run the assign hook, where that was met.
	denied error
	// outdated counts the tries that ended because a resource had been changed.
	outdated int
	// keyIndex is the version of the key's record in Consul, once this launch holds it.
	keyIndex uint64
	// profile is the lease of the session that is being made, and registerBy until when its
	// job may be registered; zero for none.
	profile    staging.ProfileLease
	registerBy time.Time
	// claimedAt is when sessions were claimed, by Redis's clock; repliedAt when that reply
	// came, by this broker's.
	claimedAt, repliedAt time.Time
	// redisAway: the launch goes on without Redis, which did not answer, or, untrusted, is
	// not trusted.
	redisAway, untrusted bool
	// admittedUntil: until then, without Redis, Consul has no earlier launch with the key, and
	// the user may have more sessions.
	admittedUntil time.Time
	// reserved are the holders of the places under limits that the launch has not given back.
	reserved []string
	attempts []staging.Attempt
	timings  staging.Timings
	began    time.Time
	// traceID is for log lines; "" where the launch is not traced.
	traceID string
}

// Launch gives a user the sessions that the request asks for, all of them or none. The
// same Idempotency-Key returns the same sessions. An error is a *refusal.Error or a
// *staging.InvalidError.
//
// The caller must not cancel ctx because a client hung up: once a claim has begun, the
// launch is bounded by its own deadlines.
func (b *Launcher) Launch(ctx context.Context, req Request) (results []Result, err error) {
	ctx, span := tracing.Start(ctx, "launch")
	defer func() { span.End(err) }()
	span.Set("greenroom.image", req.Image)
	span.Set("greenroom.zone", req.Zone)
	l, err := b.newLaunch(ctx, req)
	if err != nil {
		return nil, err
	}
	defer func() { l.trace(span, results) }()
	if !b.stopping.add() {
		return nil, brokerStops()
	}
	defer b.stopping.underWay.Done()
	defer l.holdKey()()
	defer l.releaseReserved()
	for {
		l.attempts, l.waitedInVain = nil, false
		sessions, err := l.serve(ctx)
		var repeat *repeatError
		if errors.As(err, &repeat) {
			results, err := l.awaitFirst(ctx)
			if errors.Is(err, errKeyFree) {
				continue
			}
			return results, err
		}
		var earlier *servedError
		if errors.As(err, &earlier) {
			if len(l.crossed) > 0 {
				return l.answer(earlier.sessions), nil
			}
			l.rebind(ctx, earlier.sessions)
			return l.repeated(earlier.sessions, false), nil
		}
		if isOutdated(err) {
			if err = l.resolveAgain(ctx, err); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, l.refuse(ctx, err)
		}
		return l.answer(sessions), nil
	}
}

// trace says in the launch's span what came of it.
func (l *launch) trace(span tracing.Span, results []Result) {
	for _, r := range results[:min(1, len(results))] {
		span.Set("greenroom.session", r.Session.ID)
		span.Set("greenroom.origin", string(r.Session.Origin))
	}
	if len(results) > 1 {
		span.SetInt("greenroom.sessions", len(results))
	}
	span.SetInt("greenroom.attempts", len(l.attempts))
}

// serve goes down the list of steps until one serves.
func (l *launch) serve(ctx context.Context) ([]staging.Session, error) {
	if sessions, err := l.resumeCrossing(ctx); err != nil || sessions != nil {
		return sessions, err
	}
	if l.Only != "" {
		return l.onlyStep(ctx)
	}
	if l.SkipStaged {
		l.attempt(staging.StepStaged, l.Zone, staging.OutcomeSkipped, "the launch has skip_staged: it asks for a fresh session")
	} else {
		if s, err := l.reuseAny(ctx); err != nil || s.ID != "" {
			return []staging.Session{s}, err
		}
		if sessions, err := l.anyStaged(ctx); err != nil || sessions != nil {
			return sessions, err
		}
	}
	s, err := l.anyOnDemand(ctx)
	if err != nil && l.waitedInVain && !l.SkipStaged {
		// A session of a pool that was on its way may have become ready meanwhile.
		if sessions, stagedErr := l.anyStaged(ctx); stagedErr == nil && sessions != nil {
			return sessions, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return []staging.Session{s}, nil
}

// answer returns the results of a launch that was served, and counts it.
func (l *launch) answer(sessions []staging.Session) []Result {
	if l.redisAway && len(l.crossed) == 0 {
		l.syncRedis(sessions)
	}
	results := l.results(sessions)
	for _, r := range results {
		if r.Session.State == staging.Assigned && !r.Existing {
			l.Meter.Launched(r.Session.Origin, l.timings)
		}
	}
	return results
}

// results are the launch's sessions with their tokens.
func (l *launch) results(sessions []staging.Session) []Result {
	l.timings.Total = time.Since(l.began)
	existing := l.attempts[len(l.attempts)-1].Step == staging.StepExisting
	groups := staging.GroupNames(l.groups)
	results := make([]Result, len(sessions))
	for i, s := range sessions {
		if there, ok := l.crossed[s.ID]; ok {
			there.Attempts, there.Timings, there.Existing, there.Groups = l.attempts, l.timings, existing, groups
			results[i] = there
			continue
		}
		token := staging.AccessToken(l.secret, s.ID, s.Claim)
		results[i] = Result{
			Session: s, Attempts: l.attempts, Timings: l.timings, Token: token, ConnectURL: l.imageOf(s).ConnectTo(s, token),
			Existing: existing, Groups: groups,
		}
	}
	return results
}

// refuse frees the launch's key, so that the caller may repeat it, and adds the attempts
// to the error.
func (l *launch) refuse(ctx context.Context, err error) error {
	l.releaseKey(ctx)
	var e *refusal.Error
	if errors.As(err, &e) {
		e.Attempts = l.attempts
		l.namesRight(e)
		l.Meter.Refused(e.Kind)
		l.log().WithError(err).WithField(logfield.Code, e.Kind).Warn("launch refused")
	}
	return err
}

// attempt records a step that was tried.
func (l *launch) attempt(step staging.Step, zone string, outcome staging.Outcome, reason string) {
	l.attempts = append(l.attempts, staging.Attempt{Step: step, Zone: zone, Outcome: outcome, Reason: reason})
	l.Meter.Attempt(step, outcome)
	if outcome != staging.OutcomeServed && outcome != staging.OutcomeStarting {
		l.log().WithFields(logrus.Fields{
			logfield.Step: step, logfield.At: zone, logfield.Outcome: outcome, logfield.Reason: reason,
		}).Info("step did not serve")
	}
}

// note keeps an event, in the background.
func (l *launch) note(e staging.Event) {
	e.RequestID = l.RequestID
	l.Background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline.Redis)
		defer cancel()
		if err := l.Store.Note(ctx, e); err != nil {
			l.log().WithError(err).WithField(logfield.Event, e.Type).Warn("could not keep an event; the log has it")
		}
	})
}

// log returns an entry about the launch. Most launches log nothing, so it is made on demand.
func (l *launch) log() *logrus.Entry {
	line := l.Log.WithFields(logrus.Fields{
		logfield.Claim: l.claim.ID, logfield.Image: l.Image, logfield.Zone: l.Zone, logfield.UserID: l.User.ID,
	})
	if l.RequestID != "" {
		line.Data[logfield.RequestID] = l.RequestID
	}
	if l.traceID != "" {
		line.Data[logfield.TraceID] = l.traceID
	}
	return line
}

// in is the launch as it is served from a zone.
func (l *launch) in(zone string) staging.Launch {
	at := l.Request.Launch
	at.Zone = zone
	return at
}

// count is how many sessions the launch is for.
func (l *launch) count() int { return max(1, l.Count) }

// now is the time by Redis's clock, as far as the launch knows it: the limits of a session
// are kept by that clock.
func (l *launch) now() time.Time {
	if l.claimedAt.IsZero() {
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return l.claimedAt.Add(time.Since(l.repliedAt)).Truncate(time.Millisecond)
}

// sessionIDs are the ids of sessions, in their order.
func sessionIDs(sessions []staging.Session) []string {
	ids := make([]string, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID
	}
	return ids
}
