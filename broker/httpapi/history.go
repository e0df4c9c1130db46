package httpapi

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxHistory is how many entries an answer has at most: a week by the minute, and some.
const maxHistory = 11_000

// maxStep is how many minutes an entry covers at most: a day's.
const maxStep = 24 * 60

// GetHistory implements StrictServerInterface.
func (h *handlers) GetHistory(ctx context.Context, r GetHistoryRequestObject) (GetHistoryResponseObject, error) {
	now := time.Now()
	since, until, step := r.Params.Since, r.Params.Until, time.Duration(max(1, r.Params.Step))*time.Minute
	if until.IsZero() {
		until = now.Add(time.Minute) // Redis's clock may be ahead
	}
	if since.IsZero() {
		since = now.Add(-staging.RecentHistory)
	}
	if oldest := now.Add(-staging.HistoryWindow); since.Before(oldest) {
		since = oldest // nothing is older
	}
	switch {
	case r.Params.Step < 0 || r.Params.Step > maxStep:
		return nil, staging.Invalid("history", "step", "must be between 1 and %d minutes, is %d", maxStep, r.Params.Step)
	case until.Before(since):
		return nil, staging.Invalid("history", "until", "must not be before since, which is %s, is %s", since.Format(time.RFC3339), until.Format(time.RFC3339))
	case until.Sub(since)/step > maxHistory:
		return nil, staging.Invalid("history", "step", "must be at least %d for %s, or ask for less at a time", 1+int(until.Sub(since)/(maxHistory*time.Minute)), staging.Duration(until.Sub(since)).Brief())
	}
	minutes, at, err := h.broker.Monitor.History(requestContext(ctx), r.Name, since)
	if err != nil {
		return nil, err
	}
	minutes = staging.HistoryBySteps(staging.HistoryUntil(minutes, until), step)
	answer := GetHistory200JSONResponse{Name: r.Name, Now: at, Minutes: each(minutes, itself[staging.Minute])}
	if r.Params.Until.IsZero() {
		// Who asks up to now sees what comes next.
		if answer.Forecast, err = h.broker.Monitor.Forecast(requestContext(ctx), r.Name); err != nil {
			return nil, err
		}
	}
	return answer, nil
}
