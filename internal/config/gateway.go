package config

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

// GatewaySettings are those of a gateway, which brokers need for their links, too.
type GatewaySettings struct {
	// Run makes a broker run a gateway.
	Run bool
	// Bind is the host:port that a gateway listens on.
	Bind string
	// URL is the URL by which browsers reach the gateway, "" if Domain says it; Domain is the
	// domain below which each session has a host name, "" for paths.
	URL, Domain string
	// AllowedOrigins are the origins whose pages may call sessions, and show them in frames.
	AllowedOrigins []string
	// TLSCert and TLSKey are PEM files with which it serves https; "" for http.
	TLSCert, TLSKey string
	// MaxOpen bounds the requests and sockets that are open at once, MaxOpenPerSession those of
	// one session.
	MaxOpen, MaxOpenPerSession int
}

// Known reports whether the gateway's address is known.
func (g GatewaySettings) Known() bool { return g.URL != "" || g.Domain != "" }

var gatewaySettings = []setting{
	{"broker.gateway", "gateway", []string{"GREENROOM_GATEWAY"}, Broker, "run a gateway, too, which routes users to their sessions; see --gateway-bind", boolean(func(a *Agent) *bool { return &a.Gateway.Run })},
	{"gateway.bind", "gateway-bind", []string{"GREENROOM_GATEWAY_BIND"}, Broker | Gateway, "host:port that the gateway listens on", str(func(a *Agent) *string { return &a.Gateway.Bind })},
	{"gateway.url", "gateway-url", []string{"GREENROOM_GATEWAY_URL"}, Broker | Gateway, "the URL by which browsers reach the gateway, such as https://desk.example.org; sessions have paths there, unless there is a domain", value{
		hclType: "string",
		set:     func(a *Agent, text string) error { a.Gateway.URL = strings.TrimRight(text, "/"); return nil },
		get:     func(a *Agent) string { return a.Gateway.URL },
	}},
	{"gateway.domain", "gateway-domain", []string{"GREENROOM_GATEWAY_DOMAIN"}, Broker | Gateway, "the domain below which each session has a host name of its own, such as desk.example.org; it needs a wildcard in DNS and in the certificate", str(func(a *Agent) *string { return &a.Gateway.Domain })},
	{"gateway.allowed_origins", "gateway-allowed-origin", []string{"GREENROOM_GATEWAY_ALLOWED_ORIGINS"}, Gateway | Broker, "an origin, such as https://portal.example.org, whose pages may call sessions and show them in frames; may be repeated", list(func(a *Agent, all []string) error { a.Gateway.AllowedOrigins = all; return nil })},
	{"gateway.tls.cert_file", "gateway-tls-cert", []string{"GREENROOM_GATEWAY_TLS_CERT"}, Broker | Gateway, "serve https with the certificates in this PEM file, reloaded when it changes and on SIGHUP", filePath(func(a *Agent) *string { return &a.Gateway.TLSCert })},
	{"gateway.tls.key_file", "gateway-tls-key", []string{"GREENROOM_GATEWAY_TLS_KEY"}, Broker | Gateway, "the PEM file of the certificate's key", filePath(func(a *Agent) *string { return &a.Gateway.TLSKey })},
	{"gateway.max_open", "gateway-max-open", []string{"GREENROOM_GATEWAY_MAX_OPEN"}, Broker | Gateway, "requests and WebSockets that are open at once; more are refused with 503", number(func(a *Agent) *int { return &a.Gateway.MaxOpen })},
	{"gateway.max_open_per_session", "gateway-max-open-per-session", []string{"GREENROOM_GATEWAY_MAX_OPEN_PER_SESSION"}, Broker | Gateway, "the same for one session", number(func(a *Agent) *int { return &a.Gateway.MaxOpenPerSession })},
}

// validate calls add for every setting that cannot be used.
func (g GatewaySettings) validate(add func(flag, format string, args ...any)) {
	if g.Bind != "" {
		if _, port, err := net.SplitHostPort(g.Bind); err != nil || !isPort(port) {
			add("gateway-bind", "must be host:port, is %q", g.Bind)
		}
	}
	if g.URL != "" && !isOrigin(g.URL) {
		add("gateway-url", "must be a URL such as https://desk.example.org, without a path, is %q", g.URL)
	}
	if g.Domain != "" && !domainName.MatchString(g.Domain) {
		add("gateway-domain", "must be a domain such as desk.example.org, is %q", g.Domain)
	}
	for _, o := range g.AllowedOrigins {
		if !isOrigin(o) {
			add("gateway-allowed-origin", "must be an origin such as https://portal.example.org, is %q", o)
		}
	}
	if g.MaxOpen < 0 {
		add("gateway-max-open", "must be at least 1, or 0 for the default, is %d", g.MaxOpen)
	}
	if g.MaxOpenPerSession < 0 {
		add("gateway-max-open-per-session", "must be at least 1, or 0 for the default, is %d", g.MaxOpenPerSession)
	}
}

// domainName is what a domain must match.
var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func isPort(text string) bool {
	_, err := net.LookupPort("tcp", text) // a number, or a name such as http
	return err == nil
}

// isOrigin reports whether a text is a scheme and a host, and at most a port.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == text
}
