package scaler

import (
	"fmt"
	"slices"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// share gives the pools that follow their demand in a full zone what the zone has room for,
// where a session avoids the most misses. One session more than there are is given: where it is
// not placed the zone is still full, and where it is there is room for another.
func (z *sizer) share(pools map[string]poolRoom) {
	byZone := map[string][]string{}
	full := map[string]bool{}
	for name, p := range pools {
		if z.pools[name] == nil || !p.config.FollowsDemand() {
			continue
		}
		byZone[p.config.Zone] = append(byZone[p.config.Zone], name)
		full[p.config.Zone] = full[p.config.Zone] || p.full
	}
	for zone := range full {
		if full[zone] {
			slices.Sort(byZone[zone]) // of equals always the same is served first
			z.shareZone(zone, byZone[zone], pools)
		}
	}
}

func (z *sizer) shareZone(zone string, names []string, pools map[string]poolRoom) {
	claimants, room := make([]sizing.Claimant, len(names)), 1
	for i, name := range names {
		d, s := z.pools[name], pools[name].config.Sizing
		claimants[i] = sizing.Claimant{Value: d.demand.Value(d.size.Wanted), Min: s.Min, Placed: pools[name].placed}
		for k := range claimants[i].Value {
			claimants[i].Value[k] *= s.Importance()
		}
		room += pools[name].placed
	}
	for i, given := range sizing.Share(room, claimants) {
		z.pools[names[i]].lacks(zone, given)
	}
}

// lacks has the pool want what it is given of a full zone.
func (d *demandPool) lacks(zone string, given int) {
	if given >= d.size.Wanted {
		return
	}
	d.size.Lacking = d.size.Wanted - given
	d.size.Reason = fmt.Sprintf("%d of %s; zone %s is full, and its pools share what it holds by the launches that a session serves", given, d.size.Reason, zone)
	d.size.Wanted, d.size.Keep = given, given
}

// lacking is the condition of a pool that is given less than its demand asks for.
func lacking(in PoolInput) staging.Condition {
	return staging.Condition{
		Type:    staging.CapacityExhausted,
		Message: fmt.Sprintf("zone %s has no room for %s that the demand asks for beyond the pool's share", in.Config.Zone, staging.Count(in.Lacking, "more session")),
	}
}
