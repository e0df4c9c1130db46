package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// External returns the URL by which browsers reach the broker, or nil if it is not set. The
// configuration must be valid.
func (a Agent) External() *url.URL {
	if a.ExternalURL == "" {
		return nil
	}
	u, err := url.Parse(a.ExternalURL)
	if err != nil {
		return nil
	}
	return u
}

// validateEdge calls add for every setting of how browsers and proxies reach the broker that
// cannot be used.
func (a Agent) validateEdge(add func(flag, format string, args ...any)) {
	if a.ExternalURL != "" {
		u, err := url.Parse(a.ExternalURL)
		switch {
		case err != nil || u.Host == "" || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
			add("external-url", "must be a URL such as https://greenroom.example.org, is %q", a.ExternalURL)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
			add("external-url", "must have a scheme, a host, and at most a path")
		}
	}
	if a.Access.ClientID == "" {
		return
	}
	switch u := a.External(); {
	case u == nil:
		add("external-url", "must be set for logins by OpenID Connect: the issuer sends browsers back to it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		add("external-url", "must be https for logins by OpenID Connect, unless it is on loopback; is %q", a.ExternalURL)
	}
}

// externalURL parses the broker's external URL, and drops the slash at its end.
func externalURL(a *Agent, text string) error {
	a.ExternalURL = strings.TrimRight(text, "/")
	return nil
}

// proxies parses the ranges of trusted proxies. An address stands for itself alone.
func proxies(a *Agent, all []string) error {
	a.TrustedProxies = nil
	for _, text := range all {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			address, wrong := netip.ParseAddr(text)
			if wrong != nil || address.Zone() != "" {
				return fmt.Errorf("must be addresses or ranges such as 10.0.0.0/8, has %q", text)
			}
			p = netip.PrefixFrom(address, address.BitLen())
		}
		if p.Bits() == 0 {
			return fmt.Errorf("%s would let everybody choose their address: name the proxies alone", text)
		}
		a.TrustedProxies = append(a.TrustedProxies, p.Masked())
	}
	return nil
}
