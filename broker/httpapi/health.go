package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker/status"
)

// GetLive implements StrictServerInterface. It checks no other server, since restarting
// the broker would not repair one.
func (h *handlers) GetLive(context.Context, GetLiveRequestObject) (GetLiveResponseObject, error) {
	return GetLive200JSONResponse{Status: LivenessStatusOk}, nil
}

// GetReady implements StrictServerInterface.
func (h *handlers) GetReady(ctx context.Context, _ GetReadyRequestObject) (GetReadyResponseObject, error) {
	body := Readiness{Status: ReadinessStatusOk}
	body.Dependencies = each(h.broker.Monitor.Dependencies(requestContext(ctx)), func(d status.Dependency) DependencyHealth {
		switch {
		case d.Problem == "":
		case d.Name != status.Redis:
			body.Status = ReadinessStatusUnavailable
		case body.Status == ReadinessStatusOk:
			// Launches use Consul's passing instances, and the fate records decide as always.
			body.Status = ReadinessStatusDegraded
		}
		return dependency(d)
	})
	if h.draining() {
		body.Status = ReadinessStatusUnavailable
	}
	if body.Status == ReadinessStatusUnavailable {
		return GetReady503JSONResponse(body), nil
	}
	return GetReady200JSONResponse(body), nil
}

func dependency(d status.Dependency) DependencyHealth {
	health := DependencyHealth{Name: d.Name, Status: DependencyStatusOk, Problem: d.Problem}
	if d.Problem != "" {
		health.Status = DependencyStatusUnavailable
	}
	return health
}
