// Package config loads the configuration of greenroom's agents, the broker, the scaler and
// the gateway: their addresses, the servers that they connect to, access, limits and logs. It
// promises that a configuration that passes Validate can be used, and that printing one
// never shows a secret.
package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Secret is a token or password. It prints as "(set)", or "" if it is empty.
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

// Agent is the configuration of a broker, a scaler or a gateway.
type Agent struct {
	// Bind is the host:port to listen on: the broker's API, or the scaler's
	// health and metrics.
	Bind string
	// NomadAddress and ConsulAddress are URLs of HTTP APIs, RedisAddress is host:port, or several
	// with commas between; see RedisAddresses.
	NomadAddress, ConsulAddress, RedisAddress string
	// RedisSentinel names the primary that Sentinels watch, whose addresses RedisAddress has then.
	RedisSentinel Sentinel
	// RedisCluster: the addresses are of a Redis Cluster.
	RedisCluster bool
	// ConsulPrefix and RedisPrefix begin all names that the installation uses in Consul and
	// Redis, see staging.Names; "" for staging.DefaultNames.
	ConsulPrefix, RedisPrefix string
	// NomadTLS and ConsulTLS are for https addresses; RedisTLS is used with RedisUseTLS.
	NomadTLS, ConsulTLS, RedisTLS TLS
	// RedisUseTLS connects to Redis by TLS.
	RedisUseTLS bool
	// RedisUser is an ACL user of Redis; "" is its default user.
	RedisUser string
	// TLSCert and TLSKey are PEM files with which the broker serves https; "" for http.
	TLSCert, TLSKey string
	// ExternalURL is the URL by which browsers reach the broker, without a slash at its end;
	// "" if they reach it by the address that it listens on. See External.
	ExternalURL string
	// TrustedProxies are the addresses of the proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// NomadToken, ConsulToken and RedisPassword authenticate to the servers; "" for none.
	NomadToken, ConsulToken, RedisPassword Secret
	// ConsulTokenFile is the file that ConsulToken was read from, and which an agent goes on
	// reading: the token in it may be replaced. "" if the token is from elsewhere.
	ConsulTokenFile string
	// Token is an administrator's token for the broker's API; "" for none.
	Token Secret
	// Peers are the greenrooms of other regions, by the names that zones give them.
	Peers map[string]Peer
	// Gateway configures a gateway, and the links that a broker makes to one.
	Gateway GatewaySettings
	// Tracing configures the export of traces.
	Tracing TracingSettings
	// Access configures the other ways to authenticate to the API.
	Access Access
	// MaxDesiredSessions is the largest desired_sessions that a staging config may ask for.
	MaxDesiredSessions int
	// MaxLaunches, MaxOnDemand and MaxHooks bound the concurrent launches, on-demand
	// starts and hooks of a broker.
	MaxLaunches, MaxOnDemand, MaxHooks int
	// MaxOnDemandQueue bounds the launches that wait for their turn to start a session on
	// demand.
	MaxOnDemandQueue int
	// MaxSessionsPerUser is how many sessions a user may have whose groups set no
	// max_sessions_per_user; 0 for no limit.
	MaxSessionsPerUser int
	// UserRate is how many launches a second each broker takes for one user; 0 for no limit.
	UserRate float64
	// MaxArmed is how many shells a broker opens in ready sessions ahead of time, for the
	// next assign hooks; 0 for none.
	MaxArmed int
	// AllowOpenConsul lets a broker require tokens although Consul lets anybody read or write
	// what it keeps there.
	AllowOpenConsul bool
	// MaxTokenLife bounds the life of new tokens and of new secrets of tokens; 0 does not.
	MaxTokenLife time.Duration
	// AuditRequired refuses launches and changes while no audit record can be written.
	AuditRequired bool
	// DrainTimeout bounds how long a broker that is told to stop finishes launches that have
	// claimed a session.
	DrainTimeout time.Duration
	// ClaimFence is what decides a claim: FenceConsul or FenceNone.
	ClaimFence string
	// LogLevel is trace, debug, info, warn or error. LogFormat is "text" or "json".
	LogLevel, LogFormat string

	// consulSSL makes a Consul address without a scheme an https address.
	consulSSL bool
}

// Sentinel says how the Sentinels of Redis are called.
type Sentinel struct {
	// Master is the name that they have for the primary; "" for a Redis without Sentinels.
	Master string
	// User is an ACL user of theirs, "" the default user; Password authenticates it, "" for none.
	User     string
	Password Secret
}

// RedisAddresses are the addresses that RedisAddress has.
func (a Agent) RedisAddresses() []string {
	return strings.FieldsFunc(a.RedisAddress, func(r rune) bool { return r == ',' || r == ' ' })
}

// validateRedis checks the addresses and what they are of.
func (a Agent) validateRedis(add func(flag, format string, args ...any)) {
	all := a.RedisAddresses()
	if len(all) == 0 {
		add("redis-address", "must be host:port, is %q", a.RedisAddress)
	}
	for _, address := range all {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || !isPort(port) {
			add("redis-address", "must be host:port, or several with commas between, is %q", address)
		}
	}
	switch s := a.RedisSentinel; {
	case s.Master != "" && a.RedisCluster:
		add("redis-cluster", "cannot be used with --redis-sentinel-master: a Redis Cluster does without Sentinels")
	case s.Master == "" && !a.RedisCluster && len(all) > 1:
		add("redis-address", "are %d: several are of Sentinels, with --redis-sentinel-master, or of a Redis Cluster, with --redis-cluster", len(all))
	case s.Master == "" && s.User != "":
		add("redis-sentinel-user", "is set without --redis-sentinel-master")
	case s.Master == "" && s.Password != "":
		add("redis-sentinel-password-file", "is set, or GREENROOM_REDIS_SENTINEL_PASSWORD is, without --redis-sentinel-master")
	case s.User != "" && s.Password == "":
		add("redis-sentinel-user", "is set without the password of that user")
	}
}

// TLS configures TLS to one server. The zero value trusts the system's authorities and
// sends no client certificate.
type TLS struct {
	// CAFile is a PEM file of authorities, CAPath a directory of such files.
	CAFile, CAPath string
	// CertFile and KeyFile are PEM files of the client certificate and its key.
	CertFile, KeyFile string
	// ServerName is the name in the server's certificate; "" is the host of its address.
	ServerName string
	// SkipVerify accepts any certificate.
	SkipVerify bool
}

// The values of Agent.ClaimFence.
const (
	// FenceConsul: a compare-and-set in Consul decides every claim.
	FenceConsul = "consul"
	// FenceNone: Redis decides alone. If it loses its latest writes, a session may be
	// given to a second user.
	FenceNone = "none"
)

// minTokenLength is the minimum length of GREENROOM_TOKEN, which permits everything.
const minTokenLength = 16

// problems returns what is wrong with the settings that a kind of program has.
func (a Agent) problems(kind Kind) []problem {
	var all []problem
	add := func(flag, format string, args ...any) {
		for _, s := range settings {
			if s.flag == flag && s.kinds&kind != 0 {
				all = append(all, problem{flag, fmt.Sprintf(format, args...)})
				return
			}
		}
	}
	if _, port, err := net.SplitHostPort(a.Bind); err != nil || !isPort(port) {
		add("bind", "must be host:port, is %q", a.Bind)
	}
	a.validateRedis(add)
	for _, u := range []struct{ flag, value string }{{"nomad-address", a.NomadAddress}, {"consul-address", a.ConsulAddress}} {
		p, err := url.Parse(u.value)
		if err != nil || p.Host == "" || (p.Scheme != "http" && p.Scheme != "https") {
			add(u.flag, "must be a URL such as http://127.0.0.1:4646, is %q", u.value)
		}
	}
	for _, p := range []struct{ flag, value string }{{"consul-prefix", a.ConsulPrefix}, {"redis-prefix", a.RedisPrefix}} {
		if why := staging.PrefixProblem(p.value); p.value != "" && why != "" {
			add(p.flag, "%s", why)
		}
	}
	if a.ClaimFence != "" && a.ClaimFence != FenceConsul && a.ClaimFence != FenceNone {
		add("claim-fence", "must be %s or %s, is %q", FenceConsul, FenceNone, a.ClaimFence)
	}
	a.Access.validate(add)
	a.validateEdge(add)
	a.Gateway.validate(add)
	a.validatePeers(add)
	a.Tracing.validate(add)
	if a.Token != "" && len(a.Token) < minTokenLength {
		add("token", "must have at least %d characters, so that it cannot be guessed: openssl rand -hex 16 makes one", minTokenLength)
	}
	if a.MaxDesiredSessions < 1 {
		add("max-desired-sessions", "must be at least 1, is %d", a.MaxDesiredSessions)
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"max-launches", a.MaxLaunches}, {"max-on-demand", a.MaxOnDemand}, {"max-on-demand-queue", a.MaxOnDemandQueue}, {"max-hooks", a.MaxHooks}} {
		if n.value < 1 {
			add(n.flag, "must be at least 1, is %d", n.value)
		}
	}
	if a.DrainTimeout < 0 {
		add("drain-timeout", "must be at least 0s, is %s", a.DrainTimeout)
	}
	if a.MaxTokenLife < 0 || a.MaxTokenLife > 0 && a.MaxTokenLife < time.Minute {
		add("max-token-life", "must be at least 1m, or 0s for no bound, is %s", a.MaxTokenLife)
	}
	if a.MaxSessionsPerUser < 0 {
		add("max-sessions-per-user", "must be at least 0 (0 is no limit), is %d", a.MaxSessionsPerUser)
	}
	if a.UserRate != 0 && !(a.UserRate >= access.MinRate && a.UserRate <= access.MaxRate) {
		add("user-rate", "must be between one an hour (%.6f) and %d launches per second, or 0 for no limit, is %g", access.MinRate, access.MaxRate, a.UserRate)
	}
	if a.MaxArmed < 0 {
		add("max-armed", "must be at least 0 (0 is none), is %d", a.MaxArmed)
	}
	if _, err := ParseLevel(a.LogLevel); err != nil {
		add("log-level", "%v", err)
	}
	if a.LogFormat != "text" && a.LogFormat != "json" {
		add("log-format", "must be text or json, is %q", a.LogFormat)
	}
	for _, pair := range []struct {
		cert, key         string
		certFile, keyFile string
	}{
		{"tls-cert", "tls-key", a.TLSCert, a.TLSKey},
		{"gateway-tls-cert", "gateway-tls-key", a.Gateway.TLSCert, a.Gateway.TLSKey},
		{"nomad-client-cert", "nomad-client-key", a.NomadTLS.CertFile, a.NomadTLS.KeyFile},
		{"consul-client-cert", "consul-client-key", a.ConsulTLS.CertFile, a.ConsulTLS.KeyFile},
		{"redis-client-cert", "redis-client-key", a.RedisTLS.CertFile, a.RedisTLS.KeyFile},
		{"tracing-client-cert", "tracing-client-key", a.Tracing.TLS.CertFile, a.Tracing.TLS.KeyFile},
	} {
		switch {
		case (pair.certFile == "") == (pair.keyFile == ""):
		case pair.certFile == "":
			add(pair.key, "a key without its certificate cannot be used: set --%s, too", pair.cert)
		default:
			add(pair.cert, "a certificate without its key cannot be used: set --%s, too", pair.key)
		}
	}
	if a.RedisTLS != (TLS{}) && !a.RedisUseTLS {
		add("redis-tls", "is not on, but other TLS settings of Redis are set: turn it on, or remove them")
	}
	return all
}

// ParseLevel parses a log level. Its error lists the levels.
func ParseLevel(text string) (logrus.Level, error) {
	level, err := logrus.ParseLevel(text)
	if err != nil || level < logrus.ErrorLevel {
		return 0, fmt.Errorf("must be one of trace, debug, info, warn, error, is %q", text)
	}
	return level, nil
}

// Logger returns a logger with the configured level and format.
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
