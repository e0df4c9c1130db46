package staging

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// DefaultPort is the label of the port that a session is opened at, if it has one of that name;
// else it is the first by label.
const DefaultPort = "http"

// tlsLabel begins the labels of ports whose programs speak TLS.
const tlsLabel = "https"

// PortLabel returns a port's label as it is in host names, which have no underscore.
func PortLabel(label string) string { return strings.ToLower(strings.ReplaceAll(label, "_", "-")) }

// Upstream returns where a session's port is: "http" or "https", and host:port. A hyphen in label
// stands for an underscore, too; "" is the default port. ok is false if the session has no such
// port, or no address yet.
func (s Session) Upstream(label string) (scheme, host string, ok bool) {
	if s.Address == "" {
		return "", "", false
	}
	labels := slices.Sorted(maps.Keys(s.Ports))
	at := slices.IndexFunc(labels, func(l string) bool { return PortLabel(l) == PortLabel(label) })
	if label == "" {
		if at = slices.Index(labels, DefaultPort); at < 0 && len(labels) > 0 {
			at = 0
		}
	}
	if at < 0 {
		return "", "", false
	}
	scheme = "http"
	if strings.HasPrefix(labels[at], tlsLabel) {
		scheme = "https"
	}
	return scheme, net.JoinHostPort(s.Address, strconv.Itoa(s.Ports[labels[at]])), true
}
