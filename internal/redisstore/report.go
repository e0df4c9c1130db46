package redisstore

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// WriteReport replaces what the scaler reports of a pool, in one call. If the conditions
// changed, it emits an event.
func (s *Store) WriteReport(ctx context.Context, r staging.PoolReport) error {
	conditions, text, rollout := "", "nothing is in the way", ""
	if len(r.Conditions) > 0 {
		conditions = mustJSON(r.Conditions)
		parts := make([]string, len(r.Conditions))
		for i, c := range r.Conditions {
			parts[i] = string(c.Type) + ": " + c.Message
		}
		text = strings.Join(parts, "; ")
	}
	if r.Rollout != (staging.Rollout{}) {
		rollout = mustJSON(r.Rollout)
	}
	failure := ""
	switch {
	case r.LastFailure != nil:
		failure = mustJSON(r.LastFailure)
	case r.ForgetFailure:
		failure = "none"
	}
	err := reportScript.Run(ctx, s.rdb, []string{
		s.conditionsKey(r.Pool), s.rolloutKey(r.Pool), s.usualKey(), s.eventsKey(), s.remarksKey(), s.sizesKey(),
		s.failuresKey(), s.keptKey(),
	},
		r.Pool, r.Zone, conditions, text, rollout, r.Usual.Milliseconds(), r.Remark, flag(r.Sized), failure, strings.Join(r.Kept, " ")).Err()
	return callError(err, "write the report of pool %s", r.Pool)
}

// remarksKey is a hash of the remarks on pools.
func (s *Store) remarksKey() string { return s.o.Prefix + "remarks" }

// Remarks reads the remarks on pools. A pool without one has no entry.
func (s *Store) Remarks(ctx context.Context) (map[string]string, error) {
	all, err := s.rdb.HGetAll(ctx, s.remarksKey()).Result()
	return all, callError(err, "read the remarks on pools")
}

// failuresKey is a hash of the pools' last failures, keptKey one of the sessions that are kept.
func (s *Store) failuresKey() string { return s.o.Prefix + "failures" }
func (s *Store) keptKey() string     { return s.o.Prefix + "kept" }

// Failures reads the sessions that failed last, by pool.
func (s *Store) Failures(ctx context.Context) (map[string]*staging.PoolFailure, error) {
	all, err := s.rdb.HGetAll(ctx, s.failuresKey()).Result()
	if err != nil {
		return nil, callError(err, "read the last failures of pools")
	}
	failures := make(map[string]*staging.PoolFailure, len(all))
	for pool, text := range all {
		f := new(staging.PoolFailure)
		if json.Unmarshal([]byte(text), f) == nil {
			failures[pool] = f
		}
	}
	return failures, nil
}

// Kept reads the ids of the failed sessions whose jobs are kept in Nomad, by pool.
func (s *Store) Kept(ctx context.Context) (map[string][]string, error) {
	all, err := s.rdb.HGetAll(ctx, s.keptKey()).Result()
	if err != nil {
		return nil, callError(err, "read which failed sessions are kept")
	}
	kept := make(map[string][]string, len(all))
	for pool, ids := range all {
		kept[pool] = strings.Fields(ids)
	}
	return kept, nil
}
