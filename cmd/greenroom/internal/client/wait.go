package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// pollInterval is the time between two looks at what a command waits for.
const pollInterval = 500 * time.Millisecond

// Poll calls done until it reports true or fails, at most for the time limit. waiting
// describes what is still missing, for the error.
func Poll(ctx context.Context, limit time.Duration, done func(context.Context) (ok bool, waiting string, err error)) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, waiting, err := done(ctx)
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case <-end.C:
			return fmt.Errorf("%s, after %s of waiting", waiting, staging.Rounded(limit))
		case <-tick.C:
		}
	}
}

// UntilReady waits until the pool of a staging config has at least as many ready sessions of
// its current revision as ready returns for it, at most for the time limit. It writes what it
// waits for to progress whenever that changes. The error has the pool's conditions.
func (c *Client) UntilReady(ctx context.Context, name string, ready func(httpapi.StagingPool) int, limit time.Duration, progress io.Writer) error {
	last := ""
	return Poll(ctx, limit, func(ctx context.Context) (bool, string, error) {
		ctx, cancel := Brief(ctx)
		defer cancel()
		r, err := c.GetStagingWithResponse(ctx, name)
		if err := c.Answered(r, err, 200); err != nil {
			return false, "", err
		}
		p := *r.JSON200
		wanted := ready(p)
		is, rolls := readyOf(p)
		if is >= wanted {
			fmt.Fprintf(progress, "%s has %d ready%s\n", p.Name, is, rolls)
			return true, "", nil
		}
		text := []string{fmt.Sprintf("%s has %d of %d ready%s", p.Name, is, wanted, rolls)}
		if now := Desired(p); wanted > now {
			text = append(text, fmt.Sprintf("more are waited for than the %d that are desired now: only a schedule, demand or another desired_sessions brings them", now))
		}
		for _, condition := range p.Conditions {
			text = append(text, fmt.Sprintf("%s: %s", condition.Type, condition.Message))
		}
		if waiting := strings.Join(text, "; "); waiting != last {
			last = waiting
			fmt.Fprintln(progress, waiting)
		}
		return false, last, nil
	})
}

// readyOf returns how many of a pool's ready sessions are of its current revision, and text
// about the others while a new revision rolls. All count where those of an older one are kept. A broker or scaler of an older version does not
// say which revision they are of; all count then.
func readyOf(p httpapi.StagingPool) (ready int, rolls string) {
	if p.UpdatedSessions == nil || p.UpdatedReadySessions == nil {
		return p.ReadySessions, ""
	}
	if *p.UpdatedSessions < p.CurrentSessions {
		rolls = fmt.Sprintf(", %d of %d updated", *p.UpdatedSessions, p.CurrentSessions)
	}
	if p.Update == staging.UpdateOnReplenish {
		return p.ReadySessions, rolls // those of an older revision are kept until launches have taken them
	}
	if old := p.ReadySessions - *p.UpdatedReadySessions; old > 0 {
		rolls += fmt.Sprintf("; %d ready of an older revision do not count", old)
	}
	return *p.UpdatedReadySessions, rolls
}
