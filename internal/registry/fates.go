package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) fatesPrefix() string      { return r.prefix + "fates/" }
func (r *Registry) fateKey(id string) string { return r.fatesPrefix() + id }

// Fate reads one record; staging.ErrNoResource when the session's fate is open.
func (r *Registry) Fate(ctx context.Context, session string) (staging.Fate, error) {
	var f staging.Fate
	p, _, err := r.kv.Get(r.fateKey(session), query(ctx))
	if err != nil {
		return f, err
	}
	if p == nil {
		return f, fmt.Errorf("%w: the fate of session %s", staging.ErrNoResource, session)
	}
	if err := json.Unmarshal(p.Value, &f); err != nil {
		return f, fmt.Errorf("the fate of session %s does not parse: %w", session, err)
	}
	f.Index = p.ModifyIndex
	return f, nil
}

// Fates reads every record: for the scaler at start and at resync, for brokers while Redis
// is away or not trusted. A record that does not parse is an error, since without it a
// session could get a second user.
func (r *Registry) Fates(ctx context.Context) (map[string]staging.Fate, error) {
	pairs, _, err := list(r.kv, r.fatesPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	all := make(map[string]staging.Fate, len(pairs))
	for _, p := range pairs {
		var f staging.Fate
		if err := json.Unmarshal(p.Value, &f); err != nil {
			return nil, fmt.Errorf("%s does not parse: %w", p.Key, err)
		}
		f.Index = p.ModifyIndex
		all[strings.TrimPrefix(p.Key, r.fatesPrefix())] = f
	}
	return all, nil
}

// DeleteFate forgets a session that has ended and of which nothing is left, and
// the Idempotency-Key that was bound to it.
func (r *Registry) DeleteFate(ctx context.Context, session string) error {
	f, err := r.Fate(ctx, session)
	if errors.Is(err, staging.ErrNoResource) {
		return nil
	}
	if err == nil && f.Fingerprint != "" {
		err = r.dropKey(ctx, f.IdempotencyKey, func(k staging.KeyHold) bool { return k.Session == session })
	}
	if err != nil {
		return err
	}
	_, err = r.kv.Delete(r.fateKey(session), write(ctx))
	return err
}
