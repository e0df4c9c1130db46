package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// ListPauses implements StrictServerInterface.
func (h *handlers) ListPauses(ctx context.Context, _ ListPausesRequestObject) (ListPausesResponseObject, error) {
	all, err := h.broker.Pauses.List(requestContext(ctx))
	if err != nil {
		return nil, err
	}
	return ListPauses200JSONResponse{Items: each(all, itself[Pause])}, nil
}

// PausePools implements StrictServerInterface.
func (h *handlers) PausePools(ctx context.Context, r PausePoolsRequestObject) (PausePoolsResponseObject, error) {
	p, made, err := h.broker.Pauses.Pause(requestContext(ctx), staging.PauseTarget{Zone: r.Body.Zone, Staging: r.Body.Staging}, r.Body.Reason)
	switch {
	case err != nil:
		return nil, err
	case made:
		return PausePools201JSONResponse(p), nil
	}
	return PausePools200JSONResponse(p), nil
}

// ResumePools implements StrictServerInterface.
func (h *handlers) ResumePools(ctx context.Context, r ResumePoolsRequestObject) (ResumePoolsResponseObject, error) {
	if err := h.broker.Pauses.Resume(requestContext(ctx), staging.PauseTarget{Zone: r.Params.Zone, Staging: r.Params.Staging}); err != nil {
		return nil, err
	}
	return ResumePools204Response{}, nil
}

// RecycleStaging implements StrictServerInterface.
func (h *handlers) RecycleStaging(ctx context.Context, r RecycleStagingRequestObject) (RecycleStagingResponseObject, error) {
	p, err := h.broker.Pools.Recycle(requestContext(ctx), r.Name, r.Body.OlderThan)
	if err != nil {
		return nil, err
	}
	return RecycleStaging200JSONResponse(pool(p)), nil
}

// RetryStaging implements StrictServerInterface.
func (h *handlers) RetryStaging(ctx context.Context, r RetryStagingRequestObject) (RetryStagingResponseObject, error) {
	p, err := h.broker.Pools.Retry(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return RetryStaging200JSONResponse(pool(p)), nil
}

// scopedPauses are the pauses that cover a pool of the caller's scope. A caller with a scope
// pauses single pools alone: a zone may have others' pools.
type scopedPauses struct {
	Pauses
	pools scopedPools
}

func (p scopedPauses) List(ctx context.Context) ([]staging.Pause, error) {
	all, err := p.Pauses.List(ctx)
	if err != nil || scopeOf(ctx).IsZero() {
		return all, err
	}
	pools, err := p.pools.List(ctx)
	return only(all, func(pause staging.Pause) bool {
		for _, pool := range pools {
			if pause.Covers(pool.Config) {
				return true
			}
		}
		return false
	}), err
}

func (p scopedPauses) Pause(ctx context.Context, target staging.PauseTarget, reason string) (staging.Pause, bool, error) {
	if err := p.check(ctx, target); err != nil {
		return staging.Pause{}, false, err
	}
	return p.Pauses.Pause(ctx, target, reason)
}

func (p scopedPauses) Resume(ctx context.Context, target staging.PauseTarget) error {
	if err := p.check(ctx, target); err != nil {
		return err
	}
	return p.Pauses.Resume(ctx, target)
}

// check refuses a target that is not one pool of the caller's scope.
func (p scopedPauses) check(ctx context.Context, target staging.PauseTarget) error {
	scope := scopeOf(ctx)
	if scope.IsZero() {
		return nil
	}
	if target.Staging == "" {
		return outOfScope(scope, "staging", "must name one staging config")
	}
	return p.pools.check(ctx, target.Staging)
}
