package scaler

import (
	"maps"
	"slices"

	"github.com/greenroom/greenroom/internal/staging"
)

// showInCatalog passes to Consul's catalog whose a session is. decide calls it for each
// session that changed and that Decide does not handle.
func (s *Scaler) showInCatalog(v *view, e *entry) {
	switch {
	case e.s.State == staging.Assigned && e.tagged && e.s.User != nil && e.s.Address != "":
		s.Catalog.Show(v.assignmentOf(e))
	case e.mayBeAssigned():
		s.Catalog.Keep(e.s.ID, zoneOf(e.s))
	default:
		s.Catalog.Gone(e.s.ID)
	}
}

// mayBeAssigned: it is a user's, or this cannot be excluded now. Redis may have lost it, or
// may be restored from its fate record in a moment.
func (e *entry) mayBeAssigned() bool {
	switch e.s.State {
	case "", staging.Claimed, staging.Assigned:
		return true
	case staging.Ending, staging.Ended:
		return false
	}
	return e.verdict == staging.VerdictAssigned
}

// assignmentOf returns what Consul's catalog shows of an assigned session.
func (v *view) assignmentOf(e *entry) staging.Assignment {
	x := e.s
	a := staging.Assignment{
		Session: x.ID, User: *x.User, Zone: x.Zone, Image: x.Image, Staging: x.Staging,
		NodeID: x.NodeID, AllocID: x.AllocID, Address: x.Address, AssignedAt: x.AssignedAt,
	}
	if v.healthKnown(e) {
		a.ChecksKnown, a.Passing, a.UnhealthySince = true, e.healthy(), e.s.UnhealthySince
		a.Port = v.healthSource(e).health[x.AllocID].Port
	}
	if labels := slices.Sorted(maps.Keys(x.Ports)); a.Port == 0 && len(labels) > 0 {
		a.Port = x.Ports[labels[0]]
	}
	return a
}
