package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// named refuses a body with another name than the path's. The body may leave it out.
func named(what, path, body string) error {
	if body != "" && body != path {
		return staging.Invalid(what, "name", "must be %q as in the path, or left out; is %q", path, body)
	}
	return nil
}

// lister lists the resources of one kind by name.
type lister[T any] interface {
	List(ctx context.Context) ([]T, error)
}

// pageOf returns a page of the resources of one kind, and the cursor of the next.
func pageOf[T any](ctx context.Context, of lister[T], name func(T) string, cursor string, limit *int) (page []T, next string, err error) {
	all, err := of.List(requestContext(ctx))
	if err != nil {
		return nil, "", err
	}
	return pageByName(all, name, cursor, limit)
}

// ListZones implements StrictServerInterface.
func (h *handlers) ListZones(ctx context.Context, r ListZonesRequestObject) (ListZonesResponseObject, error) {
	page, next, err := pageOf(ctx, h.broker.Zones, func(z Zone) string { return z.Name }, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	return ListZones200JSONResponse{Items: each(page, itself[Zone]), NextCursor: next}, nil
}

// GetZone implements StrictServerInterface.
func (h *handlers) GetZone(ctx context.Context, r GetZoneRequestObject) (GetZoneResponseObject, error) {
	z, err := h.broker.Zones.Get(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return GetZone200JSONResponse(z), nil
}

// PutZone implements StrictServerInterface.
func (h *handlers) PutZone(ctx context.Context, r PutZoneRequestObject) (PutZoneResponseObject, error) {
	z := *r.Body
	if err := named("zone", r.Name, z.Name); err != nil {
		return nil, err
	}
	z.Name = r.Name
	z = z.WithDefaults()
	z, created, err := h.broker.Zones.Put(requestContext(ctx), z)
	if err != nil {
		return nil, err
	}
	if created {
		return PutZone201JSONResponse{Body: z, Headers: PutZone201ResponseHeaders{Location: "/v1/zones/" + z.Name}}, nil
	}
	return PutZone200JSONResponse(z), nil
}

// DeleteZone implements StrictServerInterface.
func (h *handlers) DeleteZone(ctx context.Context, r DeleteZoneRequestObject) (DeleteZoneResponseObject, error) {
	if err := h.broker.Zones.Delete(requestContext(ctx), r.Name); err != nil {
		return nil, err
	}
	return DeleteZone204Response{}, nil
}

// ListImages implements StrictServerInterface.
func (h *handlers) ListImages(ctx context.Context, r ListImagesRequestObject) (ListImagesResponseObject, error) {
	page, next, err := pageOf(ctx, h.broker.Images, func(i Image) string { return i.Name }, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	return ListImages200JSONResponse{Items: each(page, itself[Image]), NextCursor: next}, nil
}

// GetImage implements StrictServerInterface.
func (h *handlers) GetImage(ctx context.Context, r GetImageRequestObject) (GetImageResponseObject, error) {
	i, err := h.broker.Images.Get(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return GetImage200JSONResponse(i), nil
}

// PutImage implements StrictServerInterface.
func (h *handlers) PutImage(ctx context.Context, r PutImageRequestObject) (PutImageResponseObject, error) {
	i := *r.Body
	if err := named("image", r.Name, i.Name); err != nil {
		return nil, err
	}
	i.Name = r.Name
	sent := i
	i, created, err := h.broker.Images.Put(requestContext(ctx), i)
	if err != nil {
		return nil, err
	}
	warning := h.warnings(ctx, []staging.Image{sent})
	if created {
		return putImageAnswer{PutImage201JSONResponse{Body: i, Headers: PutImage201ResponseHeaders{Location: "/v1/images/" + i.Name, Warning: warning}}}, nil
	}
	return putImageAnswer{PutImage200JSONResponse{Body: i, Headers: PutImage200ResponseHeaders{Warning: warning}}}, nil
}

// DeleteImage implements StrictServerInterface.
func (h *handlers) DeleteImage(ctx context.Context, r DeleteImageRequestObject) (DeleteImageResponseObject, error) {
	if err := h.broker.Images.Delete(requestContext(ctx), r.Name); err != nil {
		return nil, err
	}
	return DeleteImage204Response{}, nil
}

// ListGroups implements StrictServerInterface.
func (h *handlers) ListGroups(ctx context.Context, r ListGroupsRequestObject) (ListGroupsResponseObject, error) {
	page, next, err := pageOf(ctx, h.broker.Groups, func(g Group) string { return g.Name }, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	return ListGroups200JSONResponse{Items: each(page, itself[Group]), NextCursor: next}, nil
}

// GetGroup implements StrictServerInterface.
func (h *handlers) GetGroup(ctx context.Context, r GetGroupRequestObject) (GetGroupResponseObject, error) {
	g, err := h.broker.Groups.Get(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return GetGroup200JSONResponse(g), nil
}

// PutGroup implements StrictServerInterface.
func (h *handlers) PutGroup(ctx context.Context, r PutGroupRequestObject) (PutGroupResponseObject, error) {
	g := *r.Body
	if err := named("group", r.Name, g.Name); err != nil {
		return nil, err
	}
	g.Name = r.Name
	g, created, err := h.broker.Groups.Put(requestContext(ctx), g)
	if err != nil {
		return nil, err
	}
	if created {
		return PutGroup201JSONResponse{Body: g, Headers: PutGroup201ResponseHeaders{Location: "/v1/groups/" + g.Name}}, nil
	}
	return PutGroup200JSONResponse(g), nil
}

// DeleteGroup implements StrictServerInterface.
func (h *handlers) DeleteGroup(ctx context.Context, r DeleteGroupRequestObject) (DeleteGroupResponseObject, error) {
	if err := h.broker.Groups.Delete(requestContext(ctx), r.Name); err != nil {
		return nil, err
	}
	return DeleteGroup204Response{}, nil
}

// CheckResources implements StrictServerInterface.
func (h *handlers) CheckResources(ctx context.Context, r CheckResourcesRequestObject) (CheckResourcesResponseObject, error) {
	set := admin.Set{Zones: r.Body.Zones, Images: r.Body.Images, Groups: r.Body.Groups, Configs: r.Body.Staging, Webhooks: r.Body.Webhooks}
	if err := h.broker.Checker.Check(requestContext(ctx), set); err != nil {
		return nil, err
	}
	return checkAnswer{CheckResources204Response{Headers: CheckResources204ResponseHeaders{Warning: h.warnings(ctx, set.Images)}}}, nil
}

// ListStaging implements StrictServerInterface.
func (h *handlers) ListStaging(ctx context.Context, r ListStagingRequestObject) (ListStagingResponseObject, error) {
	page, next, err := pageOf(ctx, h.broker.Pools, func(p status.Pool) string { return p.Name }, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	return ListStaging200JSONResponse{Items: each(page, pool), NextCursor: next}, nil
}

// GetStaging implements StrictServerInterface.
func (h *handlers) GetStaging(ctx context.Context, r GetStagingRequestObject) (GetStagingResponseObject, error) {
	p, err := h.broker.Pools.Get(requestContext(ctx), r.Name)
	if err != nil {
		return nil, err
	}
	return GetStaging200JSONResponse(pool(p)), nil
}

// PutStaging implements StrictServerInterface.
func (h *handlers) PutStaging(ctx context.Context, r PutStagingRequestObject) (PutStagingResponseObject, error) {
	c := *r.Body
	if err := named("staging config", r.Name, c.Name); err != nil {
		return nil, err
	}
	c.Name = r.Name
	p, created, err := h.broker.Pools.Put(requestContext(ctx), c)
	if err != nil {
		return nil, err
	}
	if created {
		return PutStaging201JSONResponse{Body: pool(p), Headers: PutStaging201ResponseHeaders{Location: "/v1/staging/" + c.Name}}, nil
	}
	return PutStaging200JSONResponse(pool(p)), nil
}

// DeleteStaging implements StrictServerInterface.
func (h *handlers) DeleteStaging(ctx context.Context, r DeleteStagingRequestObject) (DeleteStagingResponseObject, error) {
	if err := h.broker.Pools.Delete(requestContext(ctx), r.Name); err != nil {
		return nil, err
	}
	return DeleteStaging204Response{}, nil
}

func pool(p status.Pool) StagingPool {
	out := ofConfig(p.Config)
	out.DemandSize, out.DesiredNow, out.DesiredReason = p.Demand, p.Wanted.Sessions, p.Wanted.Reason
	out.Fill, out.UsualSeconds = Fill(p.Fill), secondsOf(p.Usual)
	out.CurrentSessions, out.ReadySessions, out.Revision = p.Current, p.Ready, p.Revision
	out.Conditions = each(p.Conditions, itself[Condition])
	if p.Pause != nil {
		out.Paused = *p.Pause
	}
	out.KeptSessions = p.Kept
	if p.Recycle != nil {
		out.Recycle = *p.Recycle
	}
	if p.LastFailure != nil {
		out.LastFailure = *p.LastFailure
	}
	if p.Updated != nil {
		out.UpdatedSessions, out.UpdatedReadySessions = &p.Updated.Current, &p.Updated.Ready
	}
	// Until may be when the schedule is to be looked at again, of which nobody is told.
	if !p.Wanted.Until.IsZero() && p.Wanted.Next != p.Wanted.Sessions {
		out.DesiredUntil, out.DesiredNext = p.Wanted.Until.UTC(), &p.Wanted.Next
	}
	return out
}
