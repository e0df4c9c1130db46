package staging

import (
	"strings"
	"testing"
)

func TestAnInstallationOwnsItsJobsAndThoseItTookOver(t *testing.T) {
	own, other := NewInstallationID(), NewInstallationID()
	i := Installation{ID: own}
	if !i.Owns(own) || i.TookOver(own) || i.Owns(other) || i.Owns("") || i.Owns(NoInstallation) {
		t.Errorf("%+v", i)
	}
	i.Adopted = []string{other, NoInstallation}
	if !i.Owns(own) || i.TookOver(own) || !i.TookOver(other) || !i.TookOver("") {
		t.Errorf("%+v", i)
	}
	for _, id := range []string{own, NoInstallation} {
		if err := ValidateInstallationID(id); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"", "gi-", "gr-01jd9q5r2v7c8k3m4n6p0s1t2x", own + "0", strings.ToUpper(own)} {
		if ValidateInstallationID(id) == nil {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

// TestPrefixesSeparateNames: whatever the pools and zones are called, two prefixes have no
// name in common, and the names fit in a DNS label.
func TestPrefixesSeparateNames(t *testing.T) {
	if n := DefaultNames; n.KV() != "greenroom/" || n.Keys() != "greenroom:" || n.Service(PoolService("p")) != "greenroom-pool-p" {
		t.Errorf("%q %q %q", n.KV(), n.Keys(), n.Service(PoolService("p")))
	}
	if got := (Names{Consul: "gr-b"}).Service(OnDemandService("z")); got != "gr-b-on-demand-z" {
		t.Error(got)
	}
	longest := strings.Repeat("x", MaxNameLength)
	for prefix, good := range map[string]bool{
		"greenroom": true, "gr-b": true, "pool": true, "staging": true, "a": true,
		"": false, "greenroom2": false, "Gr": false, "gr/b": false, "gr-": false, "a:b": false,
		"a-pool": false, "a-staging": false, "a-pool-b": false, "a-broker": false, "a-poolx": true,
	} {
		if why := PrefixProblem(prefix); (why == "") != good {
			t.Errorf("%q: %q", prefix, why)
		}
		if service := (Names{Consul: prefix}).Service(PoolService(longest)); good && len(service) > 63 {
			t.Errorf("%q has %d characters", service, len(service))
		}
	}
}
