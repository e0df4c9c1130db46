// Package config is the configuration of greenroom's two agents, the broker and
// the scaler: what they listen on, which servers they speak to, and how they
// log. It promises that a configuration which passes Validate can be used as it
// is, and that a secret in it never shows when it is printed.
package config

import (
	"fmt"
	"net"
	"net/url"

	"github.com/sirupsen/logrus"
)

// Secret is a token or password. It prints as "(set)" or "", never as itself.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(set)"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Agent is the configuration of a broker or a scaler.
type Agent struct {
	// Bind is the host:port to listen on: the broker's API, or the scaler's
	// health and metrics.
	Bind string
	// NomadAddress and ConsulAddress are URLs of HTTP APIs, RedisAddress is host:port.
	NomadAddress, ConsulAddress, RedisAddress string
	// NomadTLS and ConsulTLS are for https addresses; RedisTLS is used with RedisUseTLS.
	NomadTLS, ConsulTLS, RedisTLS TLS
	// RedisUseTLS: Redis is spoken to by TLS.
	RedisUseTLS bool
	// RedisUser is an ACL user of Redis; "" is its default user.
	RedisUser string
	// TLSCert and TLSKey are PEM files with which the broker serves https; "" for http.
	TLSCert, TLSKey string
	// Tokens and password toward the servers; "" for none.
	NomadToken, ConsulToken, RedisPassword Secret
	// Token is an administrator's token of the broker; "" for none. See Access for others.
	Token Secret
	// Access says who else may call the broker.
	Access Access
	// MaxDesiredSessions is the largest desired_sessions that a staging config may ask for.
	MaxDesiredSessions int
	// MaxLaunches, MaxOnDemand and MaxHooks are how many of each a broker has under
	// way at once.
	MaxLaunches, MaxOnDemand, MaxHooks int
	// MaxArmed is how many shells a broker keeps in ready sessions ahead of time, for
	// the assign hooks that come next; 0 for none.
	MaxArmed int
	// ClaimFence says what decides a claim: FenceConsul or FenceNone.
	ClaimFence string
	// LogLevel is one of logrus's levels, LogFormat "text" or "json".
	LogLevel, LogFormat string

	// consulSSL: an address of Consul's without a scheme is https.
	consulSSL bool
}

// TLS is how one server is spoken to by TLS. All of it may be left out: then the
// system's authorities are believed, and no certificate is shown.
type TLS struct {
	// CAFile and CAPath are a PEM file of authorities, and a directory of such.
	CAFile, CAPath string
	// CertFile and KeyFile are PEM files of the certificate to show, and its key.
	CertFile, KeyFile string
	// ServerName is what the server's certificate must be for; "": its address.
	ServerName string
	// SkipVerify believes any certificate.
	SkipVerify bool
}

// The values of Agent.ClaimFence.
const (
	// FenceConsul: a compare-and-set in Consul decides every claim.
	FenceConsul = "consul"
	// FenceNone: Redis decides alone; when it loses its newest writes, a session
	// may be given to a second user.
	FenceNone = "none"
)

// shortestToken is how long GREENROOM_TOKEN is at the least: it lets whoever has it do everything.
const shortestToken = 16

// problems are what is wrong, of the settings that a kind of program has.
func (a Agent) problems(kind Kind) []problem {
	var all []problem
	bad := func(flag, format string, args ...any) {
		for _, s := range settings {
			if s.flag == flag && s.of&kind != 0 {
				all = append(all, problem{flag, fmt.Sprintf(format, args...)})
				return
			}
		}
	}
	for _, hp := range []struct{ flag, value string }{{"bind", a.Bind}, {"redis-address", a.RedisAddress}} {
		_, port, err := net.SplitHostPort(hp.value)
		if err == nil {
			_, err = net.LookupPort("tcp", port) // a number, or a name such as http
		}
		if err != nil {
			bad(hp.flag, "must be host:port, is %q", hp.value)
		}
	}
	for _, u := range []struct{ flag, value string }{{"nomad-address", a.NomadAddress}, {"consul-address", a.ConsulAddress}} {
		p, err := url.Parse(u.value)
		if err != nil || p.Host == "" || (p.Scheme != "http" && p.Scheme != "https") {
			bad(u.flag, "must be a URL such as http://127.0.0.1:4646, is %q", u.value)
		}
	}
	if a.ClaimFence != "" && a.ClaimFence != FenceConsul && a.ClaimFence != FenceNone {
		bad("claim-fence", "must be %s or %s, is %q", FenceConsul, FenceNone, a.ClaimFence)
	}
	a.Access.validate(bad)
	if a.Token != "" && len(a.Token) < shortestToken {
		bad("token", "must have %d characters at least, so that nobody guesses it: openssl rand -hex 16 makes one", shortestToken)
	}
	if a.MaxDesiredSessions < 1 {
		bad("max-desired-sessions", "must be at least 1, is %d", a.MaxDesiredSessions)
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"max-launches", a.MaxLaunches}, {"max-on-demand", a.MaxOnDemand}, {"max-hooks", a.MaxHooks}} {
		if n.value < 1 {
			bad(n.flag, "must be at least 1, is %d", n.value)
		}
	}
	if a.MaxArmed < 0 {
		bad("max-armed", "must be 0, for none, or more, is %d", a.MaxArmed)
	}
	if _, err := ParseLevel(a.LogLevel); err != nil {
		bad("log-level", "%v", err)
	}
	if a.LogFormat != "text" && a.LogFormat != "json" {
		bad("log-format", "must be text or json, is %q", a.LogFormat)
	}
	for _, pair := range []struct {
		cert, key         string
		certFile, keyFile string
	}{
		{"tls-cert", "tls-key", a.TLSCert, a.TLSKey},
		{"nomad-client-cert", "nomad-client-key", a.NomadTLS.CertFile, a.NomadTLS.KeyFile},
		{"consul-client-cert", "consul-client-key", a.ConsulTLS.CertFile, a.ConsulTLS.KeyFile},
		{"redis-client-cert", "redis-client-key", a.RedisTLS.CertFile, a.RedisTLS.KeyFile},
	} {
		switch {
		case (pair.certFile == "") == (pair.keyFile == ""):
		case pair.certFile == "":
			bad(pair.key, "a key without its certificate is of no use: give --%s, too", pair.cert)
		default:
			bad(pair.cert, "a certificate without its key is of no use: give --%s, too", pair.key)
		}
	}
	if a.RedisTLS != (TLS{}) && !a.RedisUseTLS {
		bad("redis-tls", "is not on, and other settings of TLS toward Redis are there: turn it on, or drop them")
	}
	return all
}

// ParseLevel reads a log's level. Its error says which there are.
func ParseLevel(text string) (logrus.Level, error) {
	level, err := logrus.ParseLevel(text)
	if err != nil || level < logrus.ErrorLevel {
		return 0, fmt.Errorf("must be one of trace, debug, info, warn, error, is %q", text)
	}
	return level, nil
}

// Logger returns a logger as the configuration has it.
func (a Agent) Logger() *logrus.Logger {
	log := logrus.New()
	if level, err := logrus.ParseLevel(a.LogLevel); err == nil {
		log.SetLevel(level)
	}
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	if a.LogFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	}
	return log
}
