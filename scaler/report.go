package scaler

import (
	"context"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// report is what the scaler writes to Redis of a pool.
type report struct {
	conditions []staging.Condition
	rollout    staging.Rollout
	// usual is how long the pool's sessions usually take to be ready; 0 for not known.
	usual time.Duration
	// remark says what is no condition yet; "" for nothing.
	remark string
	// sized: the pool has sizing.
	sized bool
	// lastFailure is the session that failed last; nil where this scaler knows of none.
	// forgetFailure: what Redis has of an earlier one counts no more.
	lastFailure   *staging.PoolFailure
	forgetFailure bool
	// kept are the ids of its failed sessions whose jobs are kept.
	kept []string
}

// report logs a pool's conditions and returns the task that writes the report to Redis, if it
// changed, or if it must be written again: after every resync of Redis and after a failed
// write.
func (s *Scaler) report(p *pool, found report, now time.Time) []task {
	p.conditions = since(p.conditions, found.conditions, now.UTC())
	found.conditions = p.conditions
	same := p.reported != nil && slices.Equal(p.reported.conditions, found.conditions)
	if same && p.reported.rollout == found.rollout && p.reported.usual == found.usual && p.reported.remark == found.remark && p.reported.sized == found.sized &&
		p.reported.lastFailure == found.lastFailure && p.reported.forgetFailure == found.forgetFailure && slices.Equal(p.reported.kept, found.kept) {
		p.waiting = false
		return nil
	}
	if p.waiting = p.writing; p.waiting {
		return nil
	}
	if !same {
		for _, c := range p.conditions {
			s.Log.WithFields(logrus.Fields{logfield.Staging: p.config.Name, logfield.Condition: c.Type, logfield.Reason: c.Message}).
				Warn("pool has a condition that keeps it from its desired state")
		}
		s.Meter.Conditions(p.config.Name, p.conditions)
	}
	p.reported, p.writing = &found, true
	return []task{{pool: p.config.Name, zone: p.config.Zone, report: found}}
}

// writeReport writes a pool's report to Redis, unless another scaler holds its zone now and
// writes it.
func (s *Scaler) writeReport(ctx context.Context, t task) error {
	if !s.Locks.Held(t.zone) {
		return nil
	}
	err := s.EventStore.WriteReport(ctx, staging.PoolReport{
		Pool: t.pool, Zone: t.zone, Conditions: t.report.conditions, Rollout: t.report.rollout, Usual: t.report.usual, Remark: t.report.remark, Sized: t.report.sized,
		LastFailure: t.report.lastFailure, ForgetFailure: t.report.forgetFailure, Kept: t.report.kept,
	})
	if err != nil {
		s.Log.WithError(err).WithField(logfield.Staging, t.pool).Warn("could not write the report of a pool to Redis; retrying")
	}
	return err
}

// reportWritten has the pool's next report written. After a failure the pool is decided again
// after a pause, which writes the report again.
func (v *view) reportWritten(pool string, err error, now time.Time) {
	p := v.pools[pool]
	if p == nil {
		return
	}
	p.writing = false
	switch {
	case err != nil:
		p.reported, p.wake = nil, now.Add(retryPause)
	case p.waiting:
		v.dirtyPools[pool] = true
	}
}
