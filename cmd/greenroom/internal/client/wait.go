package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
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
			return fmt.Errorf("%s, after %s of waiting", waiting, limit)
		case <-tick.C:
		}
	}
}

// UntilReady waits until the pool of a staging config has at least as many ready sessions as
// ready returns for it, at most for the time limit. It writes what it waits for to progress
// whenever that changes. The error has the pool's conditions.
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
		if p.ReadySessions >= wanted {
			fmt.Fprintf(progress, "%s has %d ready\n", p.Name, p.ReadySessions)
			return true, "", nil
		}
		text := []string{fmt.Sprintf("%s has %d of %d ready", p.Name, p.ReadySessions, wanted)}
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
