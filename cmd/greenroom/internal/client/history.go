package client

import (
	"context"
	"net/http"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// historyPart is how much of a history by the minute one request asks for.
const historyPart = 7 * 24 * time.Hour

// History returns a pool's history between two times, with one entry for each step.
func (c *Client) History(ctx context.Context, pool string, since, until time.Time, step time.Duration) ([]staging.Minute, error) {
	var all []staging.Minute
	part := historyPart * time.Duration(max(1, int(step/time.Minute)))
	for ; since.Before(until); since = since.Add(part) {
		minutes, err := c.historyPart(ctx, pool, since, minTime(until, since.Add(part)), step)
		if err != nil {
			return nil, err
		}
		all = append(all, minutes...)
	}
	return all, nil
}

func (c *Client) historyPart(ctx context.Context, pool string, since, until time.Time, step time.Duration) ([]staging.Minute, error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	r, err := c.GetHistoryWithResponse(ctx, pool, &httpapi.GetHistoryParams{Since: since, Until: until, Step: max(1, int(step/time.Minute))})
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return nil, err
	}
	return r.JSON200.Minutes, nil
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
