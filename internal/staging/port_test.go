package staging

import "testing"

// TestThePortThatASessionIsOpenedAt: http, or the first; a host name has hyphens for underscores.
func TestThePortThatASessionIsOpenedAt(t *testing.T) {
	several := Session{Address: "10.0.0.1", Ports: map[string]int{"api": 1, "http": 2, "https_vnc": 3}}
	for name, c := range map[string]struct {
		of    Session
		label string
		want  string
	}{
		"the default is http":              {several, "", "http 10.0.0.1:2"},
		"a port by its label":              {several, "api", "http 10.0.0.1:1"},
		"one that speaks TLS":              {several, "https-vnc", "https 10.0.0.1:3"},
		"an unknown label":                 {several, "ssh", " "},
		"the first by label":               {Session{Address: "h", Ports: map[string]int{"web": 7, "b": 8}}, "", "http h:8"},
		"an address of IPv6":               {Session{Address: "::1", Ports: map[string]int{"http": 7}}, "", "http [::1]:7"},
		"a session that has no port":       {Session{Address: "h"}, "", " "},
		"a session that has no address":    {Session{Ports: map[string]int{"http": 1}}, "", " "},
		"a label in whatever case, HTTP's": {several, "API", "http 10.0.0.1:1"},
	} {
		scheme, host, ok := c.of.Upstream(c.label)
		if got := scheme + " " + host; got != c.want || ok != (c.want != " ") {
			t.Errorf("%s: %q %v, want %q", name, got, ok, c.want)
		}
	}
}
