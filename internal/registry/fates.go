package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) fatesPrefix() string      { return r.prefix + "fates/" }
func (r *Registry) fateKey(id string) string { return r.fatesPrefix() + id }

// CreateFate decides a session's fate, once and for all. won is false when it
// was decided before; existing is then the record that stands. An error means
// that nothing is known of the outcome.
func (r *Registry) CreateFate(ctx context.Context, f staging.Fate) (won bool, existing staging.Fate, err error) {
	b, err := json.Marshal(f)
	if err != nil {
		return false, f, err
	}
	// ModifyIndex 0 is Consul's "only if there is no such key".
	won, _, err = r.kv.CAS(&api.KVPair{Key: r.fateKey(f.Session), Value: b}, write(ctx))
	if err != nil || won {
		return won, f, err
	}
	existing, err = r.Fate(ctx, f.Session)
	if err == nil && existing.Claim == f.Claim && existing.Verdict == f.Verdict && f.Claim != "" {
		// Our own record: the answer to an earlier try was lost on its way.
		return true, existing, nil
	}
	return false, existing, err
}

// FinishFate notes that the assign hook of f's claim has finished. Only the
// claim that the record was created for may do so, and only it ever writes the
// record again, so a plain write after its own creation is safe.
func (r *Registry) FinishFate(ctx context.Context, f staging.Fate) error {
	f.HookPending = false
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = r.kv.Put(&api.KVPair{Key: r.fateKey(f.Session), Value: b}, write(ctx))
	return err
}

// Fate reads one record; ErrNotFound when the session's fate is open.
func (r *Registry) Fate(ctx context.Context, session string) (staging.Fate, error) {
	var f staging.Fate
	p, _, err := r.kv.Get(r.fateKey(session), query(ctx))
	if err != nil {
		return f, err
	}
	if p == nil {
		return f, fmt.Errorf("%w: the fate of session %s", ErrNotFound, session)
	}
	if err := json.Unmarshal(p.Value, &f); err != nil {
		return f, fmt.Errorf("the fate of session %s does not parse: %w", session, err)
	}
	return f, nil
}

// Fates reads every record: at start and at resync. A record that cannot be
// read is an error, since without it a session could be given away twice.
func (r *Registry) Fates(ctx context.Context) (map[string]staging.Fate, error) {
	pairs, _, err := r.kv.List(r.fatesPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	all := make(map[string]staging.Fate, len(pairs))
	for _, p := range pairs {
		var f staging.Fate
		if err := json.Unmarshal(p.Value, &f); err != nil {
			return nil, fmt.Errorf("%s does not parse: %w", p.Key, err)
		}
		all[strings.TrimPrefix(p.Key, r.fatesPrefix())] = f
	}
	return all, nil
}

// DeleteFate forgets a session that has ended and of which nothing is left.
func (r *Registry) DeleteFate(ctx context.Context, session string) error {
	_, err := r.kv.Delete(r.fateKey(session), write(ctx))
	return err
}
