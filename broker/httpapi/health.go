package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker"
)

// GetLive implements StrictServerInterface: it asks nothing of anybody, since
// no restart of the broker mends another server.
func (h *handlers) GetLive(context.Context, GetLiveRequestObject) (GetLiveResponseObject, error) {
	return GetLive200JSONResponse{Status: LivenessStatusOk}, nil
}

// GetReady implements StrictServerInterface.
func (h *handlers) GetReady(ctx context.Context, _ GetReadyRequestObject) (GetReadyResponseObject, error) {
	body := Readiness{Status: DependencyStatusOk}
	body.Dependencies = each(h.broker.Dependencies(requestContext(ctx)), func(d broker.Dependency) DependencyHealth {
		if d.Problem == "" {
			return DependencyHealth{Name: d.Name, Status: DependencyStatusOk}
		}
		body.Status = DependencyStatusUnavailable
		return DependencyHealth{Name: d.Name, Status: DependencyStatusUnavailable, Problem: d.Problem}
	})
	if h.draining() {
		body.Status = DependencyStatusUnavailable
	}
	if body.Status != DependencyStatusOk {
		return GetReady503JSONResponse(body), nil
	}
	return GetReady200JSONResponse(body), nil
}
