package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// settleSeveral has the fates of claimed sessions decided, runs the assign hook in each
// and finishes the assignment: of all of them, or of none. errSomebodys and errHook say
// that others may be tried.
func (b *Broker) settleSeveral(ctx context.Context, l *launch, taken []staging.Session, places int) ([]staging.Session, error) {
	hook := false
	for i := range taken {
		taken[i].Terms, taken[i].ExpiresAt = l.claim.Terms, time.Time{}
		hook = hook || hooksOf(taken[i], l.image).Assign != nil
	}
	fates, lost, err := b.decideSeveral(ctx, l, taken, hook, places)
	var held *staging.KeyHeldError
	switch {
	case errors.As(err, &held):
		// Redis did not know of the launch that has the key.
		b.attempt(l, staging.StepStaged, l.Zone, staging.OutcomeLost, "another launch holds the idempotency key")
		b.putBack(ctx, l, taken)
		return nil, b.repeatOf(ctx, l, held.KeyHold)
	case err != nil:
		b.consul.raise()
		b.attempt(l, staging.StepStaged, l.Zone, staging.OutcomeFailed, "Consul did not record the assignment")
		for _, s := range taken {
			b.giveUp(ctx, l, s, "its assignment could not be recorded in Consul")
		}
		return nil, refusal.NoConsul(err)
	case len(lost) > 0:
		b.dropLost(ctx, l, taken, lost)
		return nil, errSomebodys
	}
	if hook {
		if err := b.hookAll(ctx, l, taken, places); err != nil {
			b.discardAll(ctx, l, taken, err.Error())
			return nil, errHook
		}
		if err := b.finishSeveral(ctx, l, fates); err != nil && !b.finishedAll(ctx, l, taken, fates) {
			b.consul.raise()
			b.attempt(l, staging.StepStaged, l.Zone, staging.OutcomeFailed, "Consul did not record the end of the assign hooks")
			return nil, refusal.NoConsul(err)
		}
	}
	return b.assignedSeveral(ctx, l, taken)
}

// decideSeveral creates all of the fates, or none; lost are those that stood before.
func (b *Broker) decideSeveral(
	ctx context.Context, l *launch, taken []staging.Session, hookPending bool, places int,
) (fates []staging.Fate, lost map[string]staging.Fate, err error) {
	if b.o.Unfenced {
		return nil, nil, nil
	}
	if time.Since(l.heardAt) > staging.TrustTTL {
		return nil, nil, errStale // as decide has it
	}
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	// Where there are fewer places than hooks, they run in rounds.
	rounds := 1
	if places > 0 {
		rounds = (len(taken) + places - 1) / places
	}
	ids := idsOf(taken)
	for _, s := range taken {
		fates = append(fates, staging.Fate{
			Session: s.ID, Verdict: staging.VerdictAssigned, User: &l.User, Claim: l.claim.ID, Terms: l.claim.Terms, Zone: s.Zone,
			IdempotencyKey: l.IdempotencyKey, Fingerprint: l.claim.Fingerprint, KeyIndex: l.keyIndex, Sessions: ids, HookPending: hookPending,
			Lease: start.Add(time.Duration(rounds) * staging.ClaimLease).UTC(), DecidedAt: start.UTC(),
		})
	}
	fates, lost, err = b.Registry.CreateFates(ctx, fates)
	if err == nil && len(lost) == 0 {
		l.keyIndex = fates[0].KeyIndex
	}
	return fates, lost, err
}

// dropLost leaves the sessions that were somebody's already to their fates. The others
// have none, since all are created or none is: they are unused, and go back.
func (b *Broker) dropLost(ctx context.Context, l *launch, taken []staging.Session, lost map[string]staging.Fate) {
	var unused []staging.Session
	for _, s := range taken {
		fate, is := lost[s.ID]
		if !is {
			unused = append(unused, s)
			continue
		}
		b.attempt(l, staging.StepStaged, s.Zone, staging.OutcomeLost, fmt.Sprintf("session %s was already %s", s.ID, fate.Verdict))
		if fate.Verdict == "" {
			b.giveUp(ctx, l, s, "its fate has come and gone")
			continue
		}
		b.yieldTo(l, s, fate)
	}
	b.putBack(ctx, l, unused)
}

// putBack puts sessions back into their pools of which surely no fate was written, nor
// will be. One that does not go back is ended by the scaler, with its lease.
func (b *Broker) putBack(ctx context.Context, l *launch, unused []staging.Session) {
	b.unhold(ctx, l)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for _, s := range unused {
		if err := b.Store.Unclaim(ctx, s); err != nil {
			l.log().WithError(err).WithField(logfield.Session, s.ID).
				Warn("could not put an unused session back into its pool; the scaler ends it with its lease")
		}
	}
}

// hookAll runs the assign hook in each of the sessions, so many at once. The error is
// that of one in which it failed; no more are begun then.
func (b *Broker) hookAll(ctx context.Context, l *launch, taken []staging.Session, places int) error {
	start := time.Now()
	defer func() { l.timings.Hook += time.Since(start) }()
	var (
		running sync.WaitGroup
		failed  atomic.Bool
		errs    = make([]error, len(taken))
		room    = newSlots(max(places, 1))
	)
	for i, s := range taken {
		hook := hooksOf(s, l.image).Assign
		if hook == nil {
			continue
		}
		room <- struct{}{}
		if failed.Load() {
			break
		}
		running.Go(func() {
			defer room.free()
			assignment := b.Hooks.Ready(ctx, s, *hook)
			defer assignment.Drop()
			if errs[i] = assignment.Run(ctx, l.in(s.Zone)); errs[i] != nil {
				failed.Store(true)
			}
		})
	}
	running.Wait()
	var first error
	for i, err := range errs {
		if err == nil {
			continue
		}
		b.attempt(l, staging.StepStaged, taken[i].Zone, staging.OutcomeFailed, fmt.Sprintf("in session %s: %v", taken[i].ID, err))
		b.hookFailed(l, taken[i], staging.HookAssign, err)
		if untouched(err) {
			b.nomad.raise()
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// discardAll destroys all of the launch's sessions: each was given, for a moment.
func (b *Broker) discardAll(ctx context.Context, l *launch, taken []staging.Session, reason string) {
	b.unhold(ctx, l)
	for _, s := range taken {
		b.discard(l, s, reason)
	}
}

func (b *Broker) finishSeveral(ctx context.Context, l *launch, fates []staging.Fate) error {
	if len(fates) == 0 {
		return nil // unfenced: there are no records to finish
	}
	start := time.Now()
	defer func() { l.timings.Fence += time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	return b.Registry.FinishFates(ctx, fates)
}

// finishedAll finds out what became of a write whose answer was lost, as finished does.
// All are finished in one step, so the first stands for them: once it is taken from the
// claim, none of them can be finished any more.
func (b *Broker) finishedAll(ctx context.Context, l *launch, taken []staging.Session, fates []staging.Fate) bool {
	if b.finished(ctx, l, taken[0], fates[0]) {
		return true
	}
	const reason = "the end of the assign hook of a session of the same launch could not be recorded in Consul"
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	for i, s := range taken[1:] {
		// One that cannot be taken from the claim is left to the scaler, which ends it
		// with its lease, or finishes it.
		if err := b.Registry.AbandonFate(ctx, fates[i+1], reason); err == nil {
			b.discard(l, s, reason)
		}
	}
	return false
}

// assignedSeveral answers for sessions that are all the user's.
func (b *Broker) assignedSeveral(ctx context.Context, l *launch, taken []staging.Session) ([]staging.Session, error) {
	inZone := map[string]int{}
	for i, s := range taken {
		inZone[s.Zone]++
		b.Meter.Attempt(staging.StepStaged, staging.OutcomeServed)
		if s.State == staging.Assigned {
			continue
		}
		assigned, err := b.assignedBehind(ctx, l, s)
		if err != nil {
			// It was ended in this very moment: without it, they are not all there.
			b.discardAll(ctx, l, taken, "another session of the same launch was ended while it was being made")
			return nil, err
		}
		taken[i] = assigned
	}
	for _, s := range taken {
		if n := inZone[s.Zone]; n > 0 {
			l.attempts = append(l.attempts, staging.Attempt{
				Step: staging.StepStaged, Zone: s.Zone, Outcome: staging.OutcomeServed, Reason: fmt.Sprintf("%d sessions", n),
			})
			delete(inZone, s.Zone)
		}
	}
	return taken, nil
}
