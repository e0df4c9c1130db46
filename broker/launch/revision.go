package launch

import (
	"context"
	"errors"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Of a pool whose update is immediate, no session of an older revision is given once the newer
// one is stored. What a broker has in memory may be older than what is stored, so the transaction
// that decides a session's fate checks that its staging config, zone and image are still the ones
// that the launch has read. Whoever stored a change, no fate that is decided later is that of an
// older revision: the transaction fails, the session is put back, and the launch begins anew with
// what is stored. Redis and the listings only choose sessions for which the check can succeed.

// maxOutdated bounds how often one launch begins anew because a resource was changed.
const maxOutdated = 8

// immediate reports whether sessions of an older revision must not be given from a pool.
func immediate(pool staging.Config) bool { return pool.Update == staging.UpdateImmediate }

// revisions returns those that sessions of the pools must have, where it matters; nil for none.
func (l *launch) revisions(pools []staging.Config) map[string]string {
	var all map[string]string
	for _, p := range pools {
		if !immediate(p) {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[p.Name] = l.resources.CurrentRevision(p)
	}
	return all
}

// madeOf returns the resources of which sessions must be made when their fate is decided, as this
// launch read them; nil where an older revision will do. A session on demand must not be of an
// older revision either where its zone has such a pool of the image.
func (l *launch) madeOf(sessions []staging.Session) []staging.ResourceVersion {
	var all []staging.ResourceVersion
	seen := map[staging.ResourceKey]bool{}
	for _, s := range sessions {
		for _, pool := range l.resources.Pools(s.Zone, l.Image) {
			if !immediate(pool) || s.Origin == staging.Staged && s.Staging != pool.Name {
				continue
			}
			for _, v := range l.resources.MadeOf(pool) {
				if !seen[v.ResourceKey] {
					seen[v.ResourceKey] = true
					all = append(all, v)
				}
			}
		}
	}
	return all
}

// isOutdated reports whether nothing was decided because a resource was changed meanwhile.
func isOutdated(err error) bool {
	_, ok := errors.AsType[*staging.OutdatedError](err)
	return ok
}

// resolveAgain reads what is stored after a try that found it changed, and resolves the launch
// with it. The launch keeps its claim.
func (l *launch) resolveAgain(ctx context.Context, cause error) error {
	if l.outdated++; l.outdated > maxOutdated {
		return &refusal.Error{Kind: refusal.Overloaded, Cause: cause, Detail: cause.Error() + ", again and again: try again shortly"}
	}
	read, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	if _, err := l.Resources.Refresh(read); err != nil {
		return refusal.NoConsul(err)
	}
	// The launch's key is held by its claim, also where it is refused now.
	id := l.claim.ID
	err := l.resolve(ctx)
	l.claim.ID = id
	return err
}
