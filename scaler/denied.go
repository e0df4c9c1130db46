package scaler

import (
	"cmp"
	"fmt"
	"maps"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// countDenied counts the sessions that Nomad does not let this scaler see, in the zones in
// which it acts, and reports them. It does nothing while the numbers cannot have changed.
func (s *Scaler) countDenied(v *view) {
	if !v.deniedStale {
		return
	}
	v.deniedStale = false
	before := v.denied
	v.denied = map[string]int{}
	for zone := range v.resources.Zones {
		if v.acts(zone) {
			v.denied[zone] = 0 // the metric has every zone in which this scaler acts
		}
	}
	for _, e := range v.sessions {
		if zone := zoneOf(e.s); e.denied && v.acts(zone) {
			v.denied[zone]++
		}
	}
	s.Meter.Denied(v.denied)
	if maps.Equal(before, v.denied) {
		return
	}
	for zone, n := range v.denied {
		if n == 0 {
			continue
		}
		log := s.Log.WithFields(logrus.Fields{logfield.Zone: zone, logfield.Reason: v.deniedIn(zone).Message})
		log.Error("nomad hides sessions from this scaler, so nothing is done with them")
	}
	for name, p := range v.pools {
		if before[p.config.Zone] != v.denied[p.config.Zone] {
			v.dirtyPools[name] = true
		}
	}
}

// deniedIn returns why some sessions of a zone are not known; nil when there are none.
func (v *view) deniedIn(zone string) *staging.Failure {
	n := v.denied[zone]
	if n == 0 {
		return nil
	}
	return &staging.Failure{Type: staging.NomadDenied, Message: fmt.Sprintf(
		"Nomad hides %s of zone %s from the scaler, which does nothing with what is hidden; let its token list and read jobs again (list-jobs, read-job) in namespace %q",
		staging.Count(n, "session"), zone, cmp.Or(v.resources.Zones[zone].Namespace, "default"))}
}
