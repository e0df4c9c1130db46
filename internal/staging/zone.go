package staging

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RequestHost, in a zone's access settings, stands for the host that a launch
// was sent to. A staged session is made before there is a launch, so a zone
// that still has it in one of them cannot stage.
const RequestHost = "$request_host$"

// Zone is a place to run sessions: where Nomad may put them, and who may reach them.
type Zone struct {
	Name string `json:"name"`
	// Region is the Nomad region; "" is the region of the server asked.
	Region string `json:"region,omitempty"`
	// Datacenters are Nomad's; at least one, wildcards as Nomad has them.
	Datacenters []string `json:"datacenters"`
	// NodePool is Nomad's; "" is its default pool.
	NodePool string `json:"node_pool,omitempty"`
	// Namespace is Nomad's; "" is its default namespace.
	Namespace string `json:"namespace,omitempty"`
	// SearchAlternateZones: a launch in this zone that it cannot serve may be
	// served by another one.
	SearchAlternateZones bool `json:"search_alternate_zones,omitempty"`
	// AlternateZones are those that are searched, in order; empty is all others by name.
	AlternateZones []string `json:"alternate_zones,omitempty"`
	// AllowOriginDomain is the domain whose pages may open this zone's
	// sessions; "" is RequestHost.
	AllowOriginDomain string `json:"allow_origin_domain,omitempty"`
	// UpstreamAuthAddress is where what stands before a session asks who may
	// pass: a broker, as the session's node reaches it; "" is RequestHost.
	UpstreamAuthAddress string `json:"upstream_auth_address,omitempty"`
}

// WithDefaults is the zone with its access settings written out.
func (z Zone) WithDefaults() Zone {
	if z.AllowOriginDomain == "" {
		z.AllowOriginDomain = RequestHost
	}
	if z.UpstreamAuthAddress == "" {
		z.UpstreamAuthAddress = RequestHost
	}
	return z
}

// The settings that keep a zone from staging, as the API spells them.
const (
	settingAllowOriginDomain   = "allow_origin_domain"
	settingUpstreamAuthAddress = "upstream_auth_address"
)

// NotStageable names the settings that keep the zone from staging; none when it can.
func (z Zone) NotStageable() []string {
	z = z.WithDefaults()
	var found []string
	if strings.Contains(z.AllowOriginDomain, RequestHost) {
		found = append(found, settingAllowOriginDomain)
	}
	if strings.Contains(z.UpstreamAuthAddress, RequestHost) {
		found = append(found, settingUpstreamAuthAddress)
	}
	return found
}

// WhyNotStageable says which settings of a zone to change, and why; "" when it can stage.
func (z Zone) WhyNotStageable() string {
	found := z.NotStageable()
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("zone %s still has %s in %s: a staged session is made before there is a request, so set %s explicitly",
		z.Name, RequestHost, strings.Join(found, " and "), map[bool]string{true: "it", false: "them"}[len(found) == 1])
}

// Alternates gives the names of the zones that a launch in this zone may be
// served from instead, in order; none unless it searches them.
func (z Zone) Alternates(all map[string]Zone) []string {
	switch {
	case !z.SearchAlternateZones:
		return nil
	case len(z.AlternateZones) > 0:
		return z.AlternateZones
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return name == z.Name })
}

// access is how a session's programs learn of the zone's access settings. requestHost is
// the host that the launch was sent to; "" for a staged session.
func (z Zone) access(env map[string]string, requestHost string) {
	z = z.WithDefaults()
	env["GREENROOM_ALLOW_ORIGIN_DOMAIN"] = strings.ReplaceAll(z.AllowOriginDomain, RequestHost, requestHost)
	env["GREENROOM_UPSTREAM_AUTH_ADDRESS"] = strings.ReplaceAll(z.UpstreamAuthAddress, RequestHost, requestHost)
}

// Validate returns an *InvalidError, or nil. It does not look for the alternate
// zones: zones that name each other must be storable in some order.
func (z Zone) Validate() error {
	var p problems
	p.name("name", z.Name)
	if len(z.Datacenters) == 0 {
		p.add("datacenters", "must name at least one Nomad datacenter")
	}
	for i, dc := range z.Datacenters {
		if dc == "" {
			p.add(fmt.Sprintf("datacenters[%d]", i), "must not be empty")
		}
	}
	seen := map[string]bool{}
	for i, name := range z.AlternateZones {
		at := fmt.Sprintf("alternate_zones[%d]", i)
		p.name(at, name)
		if name == z.Name {
			p.add(at, "is this zone itself")
		}
		if seen[name] {
			p.add(at, "is there twice")
		}
		seen[name] = true
	}
	if len(z.AlternateZones) > 0 && !z.SearchAlternateZones {
		p.add("alternate_zones", "is of no use while search_alternate_zones is false")
	}
	p.accessSetting(settingAllowOriginDomain, z.AllowOriginDomain)
	p.accessSetting(settingUpstreamAuthAddress, z.UpstreamAuthAddress)
	return p.err(fmt.Sprintf("zone %q", z.Name))
}

func (p *problems) accessSetting(field, value string) {
	rest := strings.ReplaceAll(value, RequestHost, "")
	if strings.ContainsAny(rest, " \t\r\n\"'\\,") || strings.Contains(strings.TrimPrefix(rest, "*."), "*") {
		p.add(field, "must be a host or address, is %q", value)
	}
	if strings.Contains(rest, "$") {
		p.add(field, "holds a variable other than %s", RequestHost)
	}
	p.text(field, value)
}
