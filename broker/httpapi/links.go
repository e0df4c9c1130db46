package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
)

// LinkSession implements StrictServerInterface.
func (h *handlers) LinkSession(ctx context.Context, r LinkSessionRequestObject) (LinkSessionResponseObject, error) {
	s, err := h.broker.Sessions.Session(requestContext(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	if h.broker.Links == nil {
		return nil, refuse(CodeNoGateway, "this broker knows no gateway: set --gateway-url or --gateway-domain")
	}
	link, err := h.broker.Links.Make(requestContext(ctx), s, r.Params.Port, r.Params.Path)
	if err != nil {
		return nil, err
	}
	h.broker.Auditor.Trace(requestContext(ctx), "link to session", s.ID, nil)
	return LinkSession200JSONResponse{URL: link.URL, ExpiresAt: link.ExpiresAt}, nil
}

// connectTo returns where to send a launch's user: by the image's own template, or by a link
// through the gateway. A session that is not up yet has none, and neither has one for which no
// link can be made just now: its launch was served all the same.
func (h *handlers) connectTo(ctx context.Context, r launch.Result) string {
	if r.ConnectURL != "" || r.Peer != "" || h.broker.Links == nil || r.Session.State != staging.Assigned {
		return r.ConnectURL
	}
	link, err := h.broker.Links.Make(requestContext(ctx), r.Session, "", "")
	if err != nil {
		return ""
	}
	return link.URL
}
