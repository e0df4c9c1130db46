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

// dependencyRedis is the one without which the broker still serves.
const dependencyRedis = "redis"

// GetReady implements StrictServerInterface.
func (h *handlers) GetReady(ctx context.Context, _ GetReadyRequestObject) (GetReadyResponseObject, error) {
	body := Readiness{Status: ReadinessStatusOk}
	body.Dependencies = each(h.broker.Dependencies(requestContext(ctx)), func(d broker.Dependency) DependencyHealth {
		switch {
		case d.Problem == "":
		case d.Name != dependencyRedis:
			body.Status = ReadinessStatusUnavailable
		case body.Status == ReadinessStatusOk:
			// Consul's passing instances serve, and the fate records decide as ever.
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

func dependency(d broker.Dependency) DependencyHealth {
	status := DependencyStatusOk
	if d.Problem != "" {
		status = DependencyStatusUnavailable
	}
	return DependencyHealth{Name: d.Name, Status: status, Problem: d.Problem}
}
