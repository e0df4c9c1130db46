package launch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// zoneCandidate is a zone that a launch may be served from, or the reason why not.
type zoneCandidate struct {
	zone staging.Zone
	// skip says why nothing is tried here; "" when it may be.
	skip string
	// unsearched: the entry stands for all other zones, which are not searched. That explains
	// why a launch got nothing, and nothing before.
	unsearched bool
	// away: it is at a peer that does not answer.
	away bool
}

// zones returns the launch's own zone, then those that it searches, in order. Where none
// is searched, the last entry says so. Zones that the user may not have do not exist here: they
// are not even named.
func (l *launch) zones() []zoneCandidate {
	own := l.resources.Zones[l.Zone]
	all := []zoneCandidate{l.zoneNamed(own.Name)}
	if l.Only != "" {
		return all
	}
	alternates := own.Alternates(l.resources.Zones)
	for _, name := range l.visible(alternates) {
		all = append(all, l.zoneNamed(name))
	}
	if len(alternates) == 0 && l.hasOtherZones() {
		all = append(all, zoneCandidate{zone: own, skip: fmt.Sprintf("zone %s does not search alternate zones", own.Name), unsearched: true})
	}
	return all
}

// visible returns those zones that the user, and the caller by its scope, may know of.
func (l *launch) visible(zones []string) []string {
	var all []string
	for _, name := range zones {
		if zone, ok := l.resources.Zones[name]; l.Scope.AllowsZone(name) && (!ok || zone.AllowedTo(l.groups)) {
			all = append(all, name)
		}
	}
	return all
}

// hasOtherZones reports whether the user, and the caller, may have another zone than the launch's.
func (l *launch) hasOtherZones() bool {
	for name, zone := range l.resources.Zones {
		if name != l.Zone && l.Scope.AllowsZone(name) && zone.AllowedTo(l.groups) {
			return true
		}
	}
	return false
}

func (l *launch) zoneNamed(name string) zoneCandidate {
	zone, ok := l.resources.Zones[name]
	switch {
	case !ok && l.resources.HasZone(name):
		return zoneCandidate{zone: staging.Zone{Name: name}, skip: fmt.Sprintf("zone %s is stored in Consul and cannot be read", name)}
	case !ok:
		return zoneCandidate{zone: staging.Zone{Name: name}, skip: fmt.Sprintf("there is no zone %s", name)}
	case !l.image.AllowedIn(name):
		to := joined(l.visible(l.image.RestrictToZones))
		return zoneCandidate{zone: zone, skip: fmt.Sprintf("image %s is restricted to %s", l.Image, cmp.Or(to, "other zones"))}
	case zone.Peer != "":
		why, away := l.whyNotCross(zone)
		return zoneCandidate{zone: zone, skip: why, away: away}
	}
	return zoneCandidate{zone: zone}
}

// candidate is the next thing that a launch tries: pools that may serve it, or a reason
// why a zone or pool may not.
type candidate struct {
	// pools are claimed from in one step; none where skip is set.
	pools []staging.Config
	zone  string
	// remote is the zone where it is at a peer, which is asked then.
	remote *staging.Zone
	// skip is the reason; a new reason to skip a staged session is added in candidates.
	skip string
	// violation is the setting behind the reason, where there is one.
	violation *staging.Violation
}

// candidates returns what the launch tries of what is staged, in order: pool by pool for
// one session; all pools at once for several, or zone by zone where they are to be
// together. A launch of several that nothing could ever serve is an error.
func (l *launch) candidates() ([]candidate, error) { return l.candidatesIn(l.zones()) }

// candidatesIn is candidates of some zones.
func (l *launch) candidatesIn(zones []zoneCandidate) ([]candidate, error) {
	var all []candidate
	shared := -1 // the candidate whose pools a launch of several shares
	add := func(pool staging.Config) {
		if l.Several() && shared >= 0 {
			all[shared].pools = append(all[shared].pools, pool)
			return
		}
		all = append(all, candidate{pools: []staging.Config{pool}, zone: pool.Zone})
		shared = len(all) - 1
	}
	skip := func(zone, reason string, v *staging.Violation) {
		if v != nil && l.Several() {
			// It is counted whether or not another pool serves.
			l.violated(*v)
			v = nil
		}
		all = append(all, candidate{zone: zone, skip: reason, violation: v})
	}
	violations := staging.Violations(l.image, l.settings)
	for _, v := range violations {
		skip(l.Zone, fmt.Sprintf("no staged session can honour %s", v), &v)
	}
	if len(violations) == 0 {
		for _, z := range zones {
			if z.unsearched && !l.Several() {
				continue // a session may still be made on demand
			}
			if z.skip == "" && z.zone.Peer != "" {
				all = append(all, candidate{zone: z.zone.Name, remote: &z.zone})
				continue
			}
			if l.Together {
				shared = -1
			}
			pools, reason := l.poolsIn(z)
			if reason != "" {
				skip(z.zone.Name, reason, nil)
				continue
			}
			for _, pool := range pools {
				differ := staging.PoolViolations(pool, l.settings)
				for _, v := range differ {
					skip(z.zone.Name, fmt.Sprintf("the sessions of %s cannot honour %s", pool.Name, v), &v)
				}
				if len(differ) == 0 {
					add(pool)
				}
			}
		}
	}
	if l.Several() && !anyPools(all) && !slices.ContainsFunc(all, func(c candidate) bool { return c.remote != nil }) {
		if err := awayPeer(zones); err != nil {
			return nil, err
		}
		return nil, l.neverSeveral(all)
	}
	return all, nil
}

// awayPeer returns the refusal for the first zone at a peer that does not answer; nil for none.
func awayPeer(zones []zoneCandidate) error {
	for _, z := range zones {
		if z.away {
			return z.refusal()
		}
	}
	return nil
}

// refusal is why nothing is tried in the zone, where that may be otherwise soon.
func (z zoneCandidate) refusal() *refusal.Error {
	if !z.away {
		return nil
	}
	return &refusal.Error{Kind: refusal.PeerUnavailable, Detail: z.skip}
}

// poolsIn are the zone's pools of the launch's image, or why none of them may serve it.
func (l *launch) poolsIn(z zoneCandidate) (pools []staging.Config, skip string) {
	if z.skip != "" {
		return nil, z.skip
	}
	if pools = l.chosenPools(l.resources.Pools(z.zone.Name, l.Image)); len(pools) == 0 {
		skip = fmt.Sprintf("no staging config for image %s in zone %s", l.Image, z.zone.Name)
		if l.Selector != "" {
			skip += " matches " + l.Selector
		}
		for _, u := range l.resources.Unreadable {
			if u.Kind == staging.KindStaging && !u.Kept {
				skip += fmt.Sprintf(" (%s cannot be read)", u.Name)
			}
		}
		return nil, skip
	}
	// A zone that is no longer stageable may still have sessions, made under its old access
	// settings.
	return pools, z.zone.WhyNotStageable()
}

func anyPools(all []candidate) bool {
	for _, c := range all {
		if len(c.pools) > 0 {
			return true
		}
	}
	return false
}

// neverSeveral is the error of a launch of several that waiting does not help.
func (l *launch) neverSeveral(all []candidate) error {
	var why []string
	for _, c := range all {
		why = append(why, c.skip)
	}
	return staging.Invalid("launch", "count",
		"cannot be served: several sessions are given from what is staged alone, and %s; launch one at a time", strings.Join(why, "; "))
}

// skipped records a candidate that is not tried.
func (l *launch) skipped(c candidate) {
	if c.violation != nil {
		l.violated(*c.violation)
	}
	l.attempt(staging.StepStaged, c.zone, staging.OutcomeSkipped, c.skip)
}

// violated records a setting that no staged session can honour in the log, the metrics
// and the events.
func (l *launch) violated(v staging.Violation) {
	l.Meter.Violation(v)
	follows := "the session is made on demand"
	if l.Several() {
		follows = "several sessions are not made on demand"
	}
	l.log().WithFields(logrus.Fields{logfield.Setting: v.Setting, logfield.Where: v.Where}).
		Warn("violation: a staged session cannot honour this setting; " + follows)
	l.note(staging.Event{
		Type: staging.EventViolation, Zone: l.Zone, Image: l.Image, User: l.User.ID, Setting: v.Setting, Where: v.Where,
	})
}

func joined(names []string) string { return strings.Join(names, ", ") }
