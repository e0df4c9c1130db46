package scaler

import (
	"maps"
	"slices"

	"github.com/greenroom/greenroom/internal/staging"
)

// A config's keep_failed leaves the jobs of the sessions that failed last in Nomad, stopped, so that
// somebody can look at their allocations and logs. They have ended: they are in no pool and count
// nowhere. Their fate records stay with them, as for every session that Nomad has.

// noteEndedFailed notes whether a session is one that its pool may keep: it failed before anybody
// had it, it has ended, and Nomad has its job.
func (v *view) noteEndedFailed(e *entry) {
	p := v.pools[e.s.Staging]
	if p == nil {
		return
	}
	may := e.s.Origin == staging.Staged && e.s.State == staging.Ended && e.hasJob && !e.missing && !e.foreign &&
		e.verdict == staging.VerdictRetired && staging.Failed(e.fate().Reason)
	if may == p.endedFailed[e.s.ID] {
		return
	}
	if may {
		p.endedFailed[e.s.ID] = true
	} else {
		delete(p.endedFailed, e.s.ID)
	}
	v.dirtyPools[p.config.Name] = true
}

// keptFailed returns the ids of the sessions that a pool keeps, the newest last. Ids are sorted by
// time of creation.
func (p *pool) keptFailed() []string {
	if p.removed || p.config.KeepFailed == 0 || len(p.endedFailed) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(p.endedFailed))
	return ids[max(0, len(ids)-p.config.KeepFailed):]
}

// kept reports whether a session is one that its pool keeps.
func (v *view) kept(e *entry) bool {
	p := v.pools[e.s.Staging]
	return p != nil && p.endedFailed[e.s.ID] && slices.Contains(p.keptFailed(), e.s.ID)
}

// decideKept has the failed sessions of a pool decided again, after it keeps another number.
func (v *view) decideKept(p *pool) {
	for id := range p.endedFailed {
		v.dirtySessions[id] = true
	}
}
