package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/internal/staging"
)

// GetInstallation implements StrictServerInterface.
func (h *handlers) GetInstallation(ctx context.Context, _ GetInstallationRequestObject) (GetInstallationResponseObject, error) {
	i, err := h.broker.Installation.Get(requestContext(ctx))
	if err != nil {
		return nil, err
	}
	return GetInstallation200JSONResponse(installation(i)), nil
}

// TakeOverInstallation implements StrictServerInterface.
func (h *handlers) TakeOverInstallation(ctx context.Context, r TakeOverInstallationRequestObject) (TakeOverInstallationResponseObject, error) {
	i, err := h.broker.Installation.TakeOver(requestContext(ctx), r.Body.ID)
	if err != nil {
		return nil, err
	}
	return TakeOverInstallation200JSONResponse(installation(i)), nil
}

func installation(i admin.InstallationInfo) Installation {
	return Installation{
		ID: i.ID, Adopted: each(i.Adopted, itself[string]), CreatedAt: i.CreatedAt,
		ConsulPrefix: i.Names.Consul, RedisPrefix: i.Names.Redis, Foreign: each(i.Foreign, foreign),
	}
}

func foreign(f staging.Foreign) ForeignSessions {
	return ForeignSessions{Installation: f.Installation, Sessions: f.Sessions}
}
