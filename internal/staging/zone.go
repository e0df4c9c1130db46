package staging

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RequestHost, in a zone's access settings, stands for the host that a launch was sent to.
// A staged session is created before there is a launch, so a zone with RequestHost in one
// of these settings cannot stage sessions.
const RequestHost = "$request_host$"

// Zone is a place to run sessions: where Nomad may place them, and which pages may reach them.
type Zone struct {
	Name string `json:"name"`
	// Region is the Nomad region; "" is the region of the Nomad server that greenroom uses.
	Region string `json:"region,omitempty"`
	// Datacenters are Nomad's; at least one. Nomad's wildcards are allowed.
	Datacenters []string `json:"datacenters,omitempty"`
	// NodePool is Nomad's; "" is its default pool.
	NodePool string `json:"node_pool,omitempty"`
	// Namespace is Nomad's; "" is its default namespace.
	Namespace string `json:"namespace,omitempty"`
	// MaxSessions is how many sessions of all images may exist in the zone at once; 0 means no
	// limit.
	MaxSessions int `json:"max_sessions,omitempty"`
	// SearchAlternateZones: if this zone cannot serve a launch, another zone may.
	SearchAlternateZones bool `json:"search_alternate_zones,omitempty"`
	// AlternateZones are the zones to search, in order; empty means all others by name.
	AlternateZones []string `json:"alternate_zones,omitempty"`
	// AllowOriginDomain is the domain of the pages that may open this zone's sessions; "" is
	// RequestHost.
	AllowOriginDomain string `json:"allow_origin_domain,omitempty"`
	// UpstreamAuthAddress is where the proxy in front of a session checks who may pass: a
	// broker's address, as the session's node reaches it; "" is RequestHost.
	UpstreamAuthAddress string `json:"upstream_auth_address,omitempty"`
	// AllowedGroups are the only groups whose users may launch in the zone; empty means all
	// users. For others it does not exist, and is no alternate zone.
	AllowedGroups []string `json:"allowed_groups,omitempty"`
	// Peer names the greenroom of another region, of the brokers' configuration, whose zone
	// this is; "" for a zone of this region. Only launches go there: what the zone is made of
	// is in that region's greenroom.
	Peer string `json:"peer,omitempty"`
	// PeerZone is the zone's name there; "" for the same name.
	PeerZone string `json:"peer_zone,omitempty"`
}

// ZoneAtPeer returns the name that the zone has at its peer.
func (z Zone) ZoneAtPeer() string { return cmp.Or(z.PeerZone, z.Name) }

// WithDefaults returns the zone with the defaults of its access settings filled in. A zone at a
// peer has none.
func (z Zone) WithDefaults() Zone {
	if z.Peer != "" {
		return z
	}
	if z.AllowOriginDomain == "" {
		z.AllowOriginDomain = RequestHost
	}
	if z.UpstreamAuthAddress == "" {
		z.UpstreamAuthAddress = RequestHost
	}
	return z
}

// The settings that can keep a zone from staging, as in the API.
const (
	settingAllowOriginDomain   = "allow_origin_domain"
	settingUpstreamAuthAddress = "upstream_auth_address"
)

// NotStageable returns the settings that keep the zone from staging; none if it can stage.
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

// WhyNotStageable explains which settings of the zone to change, and why. It returns "" if
// the zone can stage.
func (z Zone) WhyNotStageable() string {
	if z.Peer != "" {
		return fmt.Sprintf("zone %s is at peer %s: what is staged there is kept by that region's greenroom, by its own staging configs", z.Name, z.Peer)
	}
	found := z.NotStageable()
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("zone %s still has %s in %s: a staged session is made before there is a request, so set %s explicitly",
		z.Name, RequestHost, strings.Join(found, " and "), map[bool]string{true: "it", false: "them"}[len(found) == 1])
}

// Alternates returns the names of the zones that may serve a launch in this zone instead,
// in order; none unless the zone has SearchAlternateZones.
func (z Zone) Alternates(all map[string]Zone) []string {
	switch {
	case !z.SearchAlternateZones:
		return nil
	case len(z.AlternateZones) > 0:
		return z.AlternateZones
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return name == z.Name })
}

// access adds the variables that show the zone's access settings to a session's programs.
// requestHost is the host that the launch was sent to; "" for a staged session.
func (z Zone) access(env map[string]string, requestHost string) {
	z = z.WithDefaults()
	env["GREENROOM_ALLOW_ORIGIN_DOMAIN"] = strings.ReplaceAll(z.AllowOriginDomain, RequestHost, requestHost)
	env["GREENROOM_UPSTREAM_AUTH_ADDRESS"] = strings.ReplaceAll(z.UpstreamAuthAddress, RequestHost, requestHost)
}

// Validate returns an *InvalidError, or nil. It does not check that the alternate zones
// exist: otherwise zones that name each other could not be stored in any order.
func (z Zone) Validate() error {
	var p problems
	p.name("name", z.Name)
	switch {
	case z.Peer != "":
		p.atPeer(z)
	case len(z.Datacenters) == 0:
		p.add("datacenters", "must name at least one Nomad datacenter")
	}
	if z.Peer == "" && z.PeerZone != "" {
		p.add("peer_zone", "is the zone's name at its peer: set peer, too")
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
			p.add(at, "is listed twice")
		}
		seen[name] = true
	}
	if len(z.AlternateZones) > 0 && !z.SearchAlternateZones {
		p.add("alternate_zones", "has no effect while search_alternate_zones is false")
	}
	p.maxSessions(settingMaxSessions, z.MaxSessions)
	p.allowedGroups(z.AllowedGroups)
	p.accessSetting(settingAllowOriginDomain, z.AllowOriginDomain)
	p.accessSetting(settingUpstreamAuthAddress, z.UpstreamAuthAddress)
	return p.err(fmt.Sprintf("zone %q", z.Name))
}

// atPeer checks a zone at a peer, which has its settings there.
func (p *problems) atPeer(z Zone) {
	p.name("peer", z.Peer)
	if z.PeerZone != "" {
		p.name("peer_zone", z.PeerZone)
	}
	for _, there := range []struct {
		field string
		set   bool
	}{
		{"region", z.Region != ""},
		{"datacenters", len(z.Datacenters) > 0},
		{"node_pool", z.NodePool != ""},
		{"namespace", z.Namespace != ""},
		{settingMaxSessions, z.MaxSessions != 0},
		{settingAllowOriginDomain, z.AllowOriginDomain != ""},
		{settingUpstreamAuthAddress, z.UpstreamAuthAddress != ""},
	} {
		if there.set {
			p.add(there.field, "is a setting of the zone at its peer: leave it out")
		}
	}
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
