package scaler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// A session is quarantined while it may be a user's, and no readable record says whether it
// is. It is neither given away nor ended, until an administrator ends it, its fate record
// can be read again, or nothing of it runs.

// noFate is why a session without any record is quarantined.
const noFate = "Consul has no record of whose it is, and Redis does not have it; Consul may have been restored from a snapshot"

// noRecord is the same for a session whose job was taken over from another installation.
const noRecord = "its job was taken over from another installation, and no record says whose it is"

// unfinished is why a session is quarantined whose fate record may be of a moment before its
// claim was finished.
const unfinished = "its claim is unfinished in Consul, which was restored from a snapshot, and Redis does not have it: it may have been finished since the snapshot"

// unfinishedFromSnapshot: its fate record is unfinished, and may have been finished before
// Consul was restored from a snapshot. Only Redis would show that.
func (e *entry) unfinishedFromSnapshot() bool {
	return e.verdict == staging.VerdictAssigned && e.fate().HookPending && e.fate().Reason == "" && e.hasJob && e.lostFate &&
		(e.s.State == "" || e.s.State == staging.Quarantined || e.redisOlder && (e.s.State.Unassigned() || e.s.State == staging.Claimed))
}

// quarantine returns why a session is quarantined; "" if it is not.
func (e *entry) quarantine() string {
	switch {
	case e.s.State.Over():
		return "" // its end has begun, by an administrator's word
	case e.verdict == staging.VerdictUnreadable:
		return e.fate().Reason
	case e.verdict == "" && e.redisOlder && e.lostFate && e.hasJob && e.s.Origin == staging.Staged && (e.s.State.Unassigned() || e.s.State == staging.Claimed):
		return noFate
	case e.unfinishedFromSnapshot():
		return unfinished
	case e.verdict != "":
		return ""
	case e.s.State == staging.Quarantined:
		return cmp.Or(e.s.Reason, noFate)
	case e.damaged != "" && e.hasJob && !e.damaged.Unassigned() && e.damaged != staging.Retiring:
		// It was given to somebody, or is on its way there.
		return e.damage + ", and Consul has no record of whose it is"
	case e.s.State == "" && e.hasJob && e.takenOver:
		return noRecord
	case e.s.State == "" && e.hasJob && (e.lostFate || e.s.Origin == staging.OnDemand):
		// A fate record of an on-demand session is written before its job.
		return noFate
	}
	return ""
}

// fateLost: Consul has no fate record of a session of which this scaler, or Redis, knows the
// user, or one from before its claim was finished.
func (e *entry) fateLost() bool {
	if e.fateUnfinished && e.s.State == staging.Assigned {
		return true
	}
	return e.fateAbsent && (e.verdict == staging.VerdictAssigned || e.verdict == "" && e.s.User != nil && e.s.Claim != "")
}

// noteQuarantine keeps the view's list of quarantined sessions up to date.
func (v *view) noteQuarantine(e *entry) {
	// Another installation has counted its own generations. While a session is being
	// registered, its generation is not known here, and it is nobody's.
	e.lostFate = !e.takenOver && e.jobIndex > 0 && v.generation.LostFates(e.s.Generation)
	e.redisOlder = v.redisOlder
	why := e.quarantine()
	if why == "" || e.over() || !e.hasJob || e.s.State == "" && e.s.Origin == staging.OnDemand {
		delete(v.quarantined, e.s.ID)
		return
	}
	v.quarantined[e.s.ID] = why
}

// quarantinedIn returns the number of a pool's quarantined sessions, and a sentence that
// names some of them; "" for none.
func (v *view) quarantinedIn(pool string) (n int, example string) {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(v.quarantined)) {
		if e := v.sessions[id]; e != nil && e.s.Staging == pool && e.s.Origin == staging.Staged {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0, ""
	}
	return len(ids), fmt.Sprintf("%s (%s)", strings.Join(ids[:min(3, len(ids))], ", "), v.quarantined[ids[0]])
}

// applyQuarantine quarantines a session in Redis, unless it has a readable fate record after
// all.
func (s *Scaler) applyQuarantine(ctx context.Context, t task) result {
	f, err := s.Registry.Fate(ctx, t.session.ID)
	switch {
	case errors.Is(err, staging.ErrNoResource):
	case err != nil:
		return result{err: err}
	case f.Verdict != staging.VerdictUnreadable && !(t.step.Reason == unfinished && f.HookPending):
		return result{fate: &f}
	}
	x := t.session
	lacked := false
	if t.from == "" && t.step.Reason == noFate && x.Origin == staging.Staged {
		now, err := s.SessionStore.Session(ctx, x.ID)
		switch {
		case errors.Is(err, staging.ErrNoSession):
			lacked = true
		case err != nil:
			return result{err: err}
		default:
			return result{state: now.State} // its event has not arrived yet
		}
	}
	x.Reason, x.Damaged = t.step.Reason, t.damaged
	state, err := s.QuarantineStore.Quarantine(ctx, x)
	return result{state: state, lacked: lacked, err: err}
}

// noteRedisOlder notes that Redis lacks a session from before Consul was restored. It has every
// session before Nomad has, so it was wiped or is an older copy, too: what it calls unused may
// have been given to a user since that copy.
func (v *view) noteRedisOlder() {
	if v.redisOlder {
		return
	}
	v.redisOlder = true
	for _, e := range v.sessions {
		v.updateMembership(e)
		v.markDirty(e)
	}
}

// applyRewriteFate writes the fate record that Consul lost of a user's session.
func (s *Scaler) applyRewriteFate(ctx context.Context, t task) result {
	x, f := t.session, t.fate
	if t.profile.Path != "" {
		// First: the profile's next launch must not find it free.
		taken, holder, err := s.Profiles.TakeProfile(ctx, t.profile)
		if err != nil {
			return result{err: err}
		}
		if !taken {
			s.Log.WithField(logfield.Session, x.ID).WithField(logfield.Reason, "session "+holder.Session+" has it").
				Error("the lease of a session's profile was lost when Consul was restored, and could not be taken again")
		}
	}
	if f.HookPending {
		r := s.finishFate(ctx, x)
		if !errors.Is(r.err, staging.ErrNoResource) {
			return r
		}
		// Consul lost the whole record, and this scaler had not read its end before.
		if f.HookPending = false; f.Reason != "" || f.Claim != x.Claim {
			f = staging.Fate{}
		}
	}
	if f.Verdict != staging.VerdictAssigned {
		// This scaler has not read it before Consul lost it: Redis has the same.
		f = staging.Fate{
			Session: x.ID, Verdict: staging.VerdictAssigned, Zone: x.Zone, User: x.User, Claim: x.Claim, Terms: x.Terms, DecidedAt: x.AssignedAt,
			Namespace: staging.FateNamespace(x),
		}
	}
	existing, err := s.Registry.RestoreFate(ctx, f)
	if err != nil {
		return result{err: err}
	}
	return result{fate: &existing, state: staging.Assigned}
}

// finishFate finishes the fate record of a session that is its user's in Redis: Redis has it so
// only after the record was finished, and Consul has lost that.
func (s *Scaler) finishFate(ctx context.Context, x staging.Session) result {
	f, err := s.Registry.Fate(ctx, x.ID)
	if err != nil {
		return result{err: err}
	}
	if f.HookPending && f.Reason == "" && f.Claim == x.Claim {
		if err := s.Registry.FinishFates(ctx, []staging.Fate{f}); err != nil {
			return result{err: err}
		}
		f.HookPending = false
	}
	return result{fate: &f, state: staging.Assigned}
}

// nextGeneration begins a generation in Consul. If that shows that Consul was restored from a
// snapshot, the lost fate records of users' sessions are written again at once.
func (s *Scaler) nextGeneration(ctx context.Context, known uint64) (staging.Generation, error) {
	g, err := s.Registry.NextGeneration(ctx, known)
	if err == nil && known > 0 && g.RestoredThrough == known {
		s.logRestored(known)
		s.requestFleetResync()
	}
	return g, err
}

func (s *Scaler) logRestored(through uint64) {
	s.Log.WithField(logfield.Reason, fmt.Sprintf("generation %d of sessions had begun, and Consul was at an earlier one", through)).
		Error("Consul was restored from a snapshot: sessions from before it that have no record, in Redis neither, are quarantined until an administrator ends them")
}

// readGeneration reads the generation from Consul after the sessions were read from Nomad.
// If a session is of a later one, Consul was restored from a snapshot, and that is noted
// there for all scalers and brokers.
func (s *Scaler) readGeneration(ctx context.Context, all []staging.Observation) (staging.Generation, error) {
	g, err := s.Registry.Generation(ctx)
	if err != nil {
		return g, err
	}
	for _, o := range all {
		s.generations.observe(o)
	}
	highest := s.generations.known.Load()
	if !g.Shows(highest) {
		return g, nil
	}
	s.logRestored(highest)
	g, err = s.Registry.Restored(ctx, highest)
	s.generations.saw(g.Current)
	return g, err
}
