package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
)

// ListLaunchable implements StrictServerInterface.
func (h *handlers) ListLaunchable(ctx context.Context, r ListLaunchableRequestObject) (ListLaunchableResponseObject, error) {
	who, asked := callerOf(ctx), launch.For{Groups: r.Params.Groups}
	if who.Role == access.User {
		if len(asked.Groups) > 0 {
			return nil, groupsOfToken()
		}
		asked = launch.For{Groups: who.Groups, GroupsOfProvider: true}
	}
	all, err := h.broker.Launcher.Launchable(requestContext(ctx), asked)
	if err != nil {
		return nil, err
	}
	page, next, err := pageByName(all, func(l launch.Launchable) string { return l.Image }, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	ready := readyIn(h.broker.Monitor.Status(requestContext(ctx)))
	return ListLaunchable200JSONResponse{NextCursor: next, Items: each(page, func(l launch.Launchable) Launchable {
		zones := each(l.Zones, func(zone string) LaunchableZone {
			return LaunchableZone{Zone: zone, Ready: ready[imageIn{l.Image, zone}]}
		})
		return Launchable{Image: l.Image, Zones: zones, OpensUrls: l.OpensURLs}
	})}, nil
}

// imageIn is an image in a zone.
type imageIn struct{ image, zone string }

// readyIn returns where sessions are ready, by a status, which is read from the servers once a
// second at most.
func readyIn(s status.Status) map[imageIn]bool {
	ready := map[imageIn]bool{}
	for _, z := range s.Zones {
		for _, p := range z.Pools {
			if z.Known && p.Ready > 0 {
				ready[imageIn{p.Image, z.Name}] = true
			}
		}
	}
	return ready
}
