package status

import (
	"slices"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Within returns the status as a caller with a scope may see it: the servers, the zones and
// pools that the scope reaches, and the health and reasons that follow from these.
func (s Status) Within(scope access.Scope) Status {
	if scope.IsZero() {
		return s
	}
	in := Status{Dependencies: s.Dependencies}
	for _, z := range s.Zones {
		if !scope.AllowsZone(z.Name) {
			continue
		}
		z.Pools = slices.DeleteFunc(slices.Clone(z.Pools), func(p PoolStatus) bool { return !scope.AllowsPool(p.Config) })
		in.Zones = append(in.Zones, z)
	}
	for _, p := range s.Peers {
		if slices.ContainsFunc(in.Zones, func(z ZoneStatus) bool { return z.Peer == p.Name }) {
			in.Peers = append(in.Peers, p)
		}
	}
	for _, u := range s.unreadable {
		if allowsUnreadable(scope, u) {
			in.unreadable = append(in.unreadable, u)
		}
	}
	in.images = slices.DeleteFunc(slices.Clone(s.images), func(i staging.Image) bool { return !scope.AllowsImage(i.Name) })
	return in.Judged()
}

// allowsUnreadable reports whether a scope reaches a resource of which only kind and name are
// known. Those of a staging config do not say whose it is.
func allowsUnreadable(scope access.Scope, u staging.UnreadableResource) bool {
	switch u.Kind {
	case staging.KindZone:
		return scope.AllowsZone(u.Name)
	case staging.KindImage:
		return scope.AllowsImage(u.Name)
	case staging.KindGroup:
		return scope.AllowsGroup(u.Name)
	}
	return false
}
