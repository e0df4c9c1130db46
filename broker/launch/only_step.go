package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// A launch may ask for one step in its own zone, by a time: this is how a peer asks.

// checkOnly checks what a peer asks for.
func (r Request) checkOnly() error {
	switch {
	case r.Only != "" && r.Only != staging.StepStaged && r.Only != staging.StepOnDemand:
		return staging.Invalid("launch", "only", "must be %s or %s, is %q", staging.StepStaged, staging.StepOnDemand, r.Only)
	case r.Only == staging.StepStaged && r.SkipStaged:
		return staging.Invalid("launch", "only", "is %s, and skip_staged asks for the opposite", staging.StepStaged)
	case r.Only == staging.StepOnDemand && r.Several():
		return staging.Invalid("launch", "only", "must be %s for several sessions, which are given from what is staged alone", staging.StepStaged)
	}
	return r.late()
}

// late refuses a launch that was to have begun by now.
func (r Request) late() error {
	if r.StartBy.IsZero() || time.Now().Before(r.StartBy) {
		return nil
	}
	return &refusal.Error{Kind: refusal.TooLate, Detail: "the launch was to begin by " + r.StartBy.Format(time.RFC3339Nano) + ", which has passed; nothing was given"}
}

// onlyStep serves a launch by the one step that it asks for.
func (l *launch) onlyStep(ctx context.Context) ([]staging.Session, error) {
	if l.IdempotencyKey != "" {
		// A refusal tells the peer that nothing was given under the key, whatever has become of the
		// pools that would show it.
		read, cancel := context.WithTimeout(ctx, deadline.Consul)
		defer cancel()
		switch hold, err := l.Fates.Key(read, l.IdempotencyKey); {
		case err == nil && hold.Claim != l.claim.ID:
			return nil, l.repeatOf(ctx, hold)
		case err != nil && !errors.Is(err, staging.ErrNoResource):
			return nil, refusal.NoConsul(err)
		}
	}
	if l.Only == staging.StepStaged {
		return l.stagedOnly(ctx)
	}
	s, err := l.anyOnDemand(ctx)
	if err != nil {
		return nil, err
	}
	return []staging.Session{s}, nil
}

// stagedOnly serves a launch for which nothing is made.
func (l *launch) stagedOnly(ctx context.Context) ([]staging.Session, error) {
	if s, err := l.reuseAny(ctx); err != nil || s.ID != "" {
		return []staging.Session{s}, err
	}
	sessions, err := l.anyStaged(ctx)
	if err == nil && sessions == nil {
		err = &refusal.Error{Kind: refusal.NoCapacity, Detail: fmt.Sprintf("no session that suits the launch is ready in zone %s, and it is for staged ones only", l.Zone)}
	}
	return sessions, err
}
