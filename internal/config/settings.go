package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Kind is a program that has a configuration; kinds are combined as bits.
type Kind uint8

// The kinds.
const (
	Broker Kind = 1 << iota
	Scaler
	// Stores is a tool that speaks to Consul and Redis and is no agent.
	Stores
)

const (
	agents  = Broker | Scaler
	everyOf = Broker | Scaler | Stores
)

// setting is one thing that can be configured: under a key in a file, which has a
// block for each part before a dot, in the environment, and with a flag. The later
// of these three counts.
type setting struct {
	key string
	// flag is "" where a value does not belong into a list of processes.
	flag string
	// env are names of variables; the first that is set counts.
	env  []string
	of   Kind
	help string
	value
}

// value is how a setting's value is written and where it goes.
type value struct {
	// is what a file must hold: "string", "number", "bool", or "object" for one whose
	// values are strings, which as a text is a line KEY=VALUE for each. "" where the value
	// does not belong into a file.
	is string
	// path: the value names a file; in a configuration file, relative to that.
	path bool
	set  func(a *Agent, text string) error
	// get gives the value as it would be written, for a flag's default; nil for a secret.
	get func(a *Agent) string
}

func text(at func(*Agent) *string) value {
	return value{
		is:  "string",
		set: func(a *Agent, text string) error { *at(a) = text; return nil },
		get: func(a *Agent) string { return *at(a) },
	}
}

// file is the path of a file that must be readable when its server is spoken to.
func file(at func(*Agent) *string) value {
	v := text(at)
	v.path = true
	v.set = func(a *Agent, path string) error {
		*at(a) = path
		if _, err := os.Stat(path); err != nil {
			return unreadable(err)
		}
		return nil
	}
	return v
}

func number(at func(*Agent) *int) value {
	return value{
		is: "number",
		set: func(a *Agent, text string) error {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("must be a whole number, is %q", text)
			}
			*at(a) = n
			return nil
		},
		get: func(a *Agent) string { return strconv.Itoa(*at(a)) },
	}
}

func yesNo(at func(*Agent) *bool) value {
	return value{
		is: "bool",
		set: func(a *Agent, text string) error {
			b, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("must be true or false, is %q", text)
			}
			*at(a) = b
			return nil
		},
		get: func(a *Agent) string { return strconv.FormatBool(*at(a)) },
	}
}

// pairs are strings by their names.
func pairs(at func(*Agent) *map[string]string) value {
	return value{is: "object", set: func(a *Agent, text string) error {
		all := map[string]string{}
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }) {
			key, v, ok := strings.Cut(line, "=")
			if !ok || key == "" {
				return fmt.Errorf("must be NAME=VALUE, is %q", line)
			}
			all[key] = v
		}
		*at(a) = all
		return nil
	}}
}

// secret is itself in the environment, and nowhere else.
func secret(at func(*Agent) *Secret) value {
	return value{set: func(a *Agent, text string) error { *at(a) = Secret(text); return nil }}
}

// secretFile is the path of a file that holds a secret and at most a line's end.
func secretFile(at func(*Agent) *Secret) value {
	return value{is: "string", path: true, set: func(a *Agent, path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return unreadable(err)
		}
		s := strings.TrimRight(string(b), "\r\n")
		if s == "" {
			return fmt.Errorf("the file %s is empty", path)
		}
		*at(a) = Secret(s)
		return nil
	}}
}

func unreadable(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("the file %s cannot be read: %w", path.Path, path.Err)
	}
	return err
}

// not is the opposite of a yes or no.
func not(v value) value {
	set := v.set
	v.set = func(a *Agent, text string) error {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("must be true or false, is %q", text)
		}
		return set(a, strconv.FormatBool(!b))
	}
	v.is, v.get = "", nil
	return v
}

// settings are all there are, in the order in which they are read: of two for the
// same thing and from the same source, the later counts.
var settings = append([]setting{
	{"broker.bind", "bind", []string{"GREENROOM_BIND"}, Broker, "host:port to listen on", text(func(a *Agent) *string { return &a.Bind })},
	{"scaler.bind", "bind", []string{"GREENROOM_BIND"}, Scaler, "host:port to listen on", text(func(a *Agent) *string { return &a.Bind })},
	{"log_level", "log-level", []string{"GREENROOM_LOG_LEVEL"}, agents, "trace, debug, info, warn or error", text(func(a *Agent) *string { return &a.LogLevel })},
	{"log_format", "log-format", []string{"GREENROOM_LOG_FORMAT"}, agents, "text or json", text(func(a *Agent) *string { return &a.LogFormat })},

	{"nomad.address", "nomad-address", []string{"NOMAD_ADDR"}, agents, "Nomad's HTTP API", text(func(a *Agent) *string { return &a.NomadAddress })},
	{"nomad.token_file", "nomad-token-file", nil, agents, "a file that holds the ACL token toward Nomad", secretFile(func(a *Agent) *Secret { return &a.NomadToken })},
	{"", "", []string{"NOMAD_TOKEN"}, agents, "", secret(func(a *Agent) *Secret { return &a.NomadToken })},

	{"consul.address", "consul-address", []string{"CONSUL_HTTP_ADDR"}, everyOf, "Consul's HTTP API", text(func(a *Agent) *string { return &a.ConsulAddress })},
	{"consul.token_file", "consul-token-file", []string{"CONSUL_HTTP_TOKEN_FILE"}, everyOf, "a file that holds the ACL token toward Consul", secretFile(func(a *Agent) *Secret { return &a.ConsulToken })},
	{"", "", []string{"CONSUL_HTTP_TOKEN"}, everyOf, "", secret(func(a *Agent) *Secret { return &a.ConsulToken })},

	{"redis.address", "redis-address", []string{"GREENROOM_REDIS_ADDR"}, everyOf, "Redis, host:port", text(func(a *Agent) *string { return &a.RedisAddress })},
	{"redis.user", "redis-user", []string{"GREENROOM_REDIS_USER"}, everyOf, "the ACL user of Redis; none is Redis's default user", text(func(a *Agent) *string { return &a.RedisUser })},
	{"redis.password_file", "redis-password-file", []string{"GREENROOM_REDIS_PASSWORD_FILE"}, everyOf, "a file that holds the password toward Redis", secretFile(func(a *Agent) *Secret { return &a.RedisPassword })},
	{"", "", []string{"GREENROOM_REDIS_PASSWORD"}, everyOf, "", secret(func(a *Agent) *Secret { return &a.RedisPassword })},
	{"redis.tls.enabled", "redis-tls", []string{"GREENROOM_REDIS_TLS"}, everyOf, "speak TLS to Redis", yesNo(func(a *Agent) *bool { return &a.RedisUseTLS })},

	{"broker.access.enforced", "access", []string{"GREENROOM_ACCESS"}, Broker, "demand a token of every caller; greenroom bootstrap makes the first", yesNo(func(a *Agent) *bool { return &a.Access.Enforced })},
	{"broker.access.oidc.issuer", "oidc-issuer", []string{"GREENROOM_OIDC_ISSUER"}, Broker, "URL of an OpenID Connect issuer whose JWTs are taken as well", text(func(a *Agent) *string { return &a.Access.Issuer })},
	{"broker.access.oidc.audience", "oidc-audience", []string{"GREENROOM_OIDC_AUDIENCE"}, Broker, "the audience that a JWT must be for", text(func(a *Agent) *string { return &a.Access.Audience })},
	{"broker.access.oidc.user_claim", "oidc-user-claim", []string{"GREENROOM_OIDC_USER_CLAIM"}, Broker, "the claim that is the user's id", text(func(a *Agent) *string { return &a.Access.UserClaim })},
	{"broker.access.oidc.groups_claim", "oidc-groups-claim", []string{"GREENROOM_OIDC_GROUPS_CLAIM"}, Broker, "the claim that lists the user's groups, such as groups; those that greenroom does not have are left out", text(func(a *Agent) *string { return &a.Access.GroupsClaim })},
	{"broker.access.oidc.role_claim", "oidc-role-claim", []string{"GREENROOM_OIDC_ROLE_CLAIM"}, Broker, "the claim whose values --oidc-role gives a role, such as realm_access.roles", text(func(a *Agent) *string { return &a.Access.RoleClaim })},
	{"broker.access.oidc.roles", "oidc-role", nil, Broker, "a value of the role claim and its role (admin, launcher or viewer), such as ops=admin; may be given again", pairs(func(a *Agent) *map[string]string { return &a.Access.Roles })},
	{"broker.token_file", "token-file", []string{"GREENROOM_TOKEN_FILE"}, Broker, "a file that holds an administrator's token", secretFile(func(a *Agent) *Secret { return &a.Token })},
	{"", "token", []string{"GREENROOM_TOKEN"}, Broker, "", secret(func(a *Agent) *Secret { return &a.Token })},
	{"broker.tls.cert_file", "tls-cert", []string{"GREENROOM_TLS_CERT"}, Broker, "serve https with the certificates of this PEM file, read again when it changes and on SIGHUP", file(func(a *Agent) *string { return &a.TLSCert })},
	{"broker.tls.key_file", "tls-key", []string{"GREENROOM_TLS_KEY"}, Broker, "the PEM file of the certificate's key", file(func(a *Agent) *string { return &a.TLSKey })},
	{"broker.max_desired_sessions", "max-desired-sessions", []string{"GREENROOM_MAX_DESIRED_SESSIONS"}, Broker, "the most that one staging config may ask for", number(func(a *Agent) *int { return &a.MaxDesiredSessions })},
	{"broker.max_launches", "max-launches", []string{"GREENROOM_MAX_LAUNCHES"}, Broker, "launches under way at once; more are refused with 503 and Retry-After", number(func(a *Agent) *int { return &a.MaxLaunches })},
	{"broker.max_on_demand", "max-on-demand", []string{"GREENROOM_MAX_ON_DEMAND"}, Broker, "sessions that are being made on demand at once: each waits on a connection to Nomad, which takes 100 from one address", number(func(a *Agent) *int { return &a.MaxOnDemand })},
	{"broker.max_hooks", "max-hooks", []string{"GREENROOM_MAX_HOOKS"}, Broker, "assign and go hooks that run at once, each on a connection to Nomad", number(func(a *Agent) *int { return &a.MaxHooks })},
	{"broker.max_armed", "max-armed", []string{"GREENROOM_MAX_ARMED"}, Broker, "shells that wait in ready sessions for the assign hooks that come next, each on a connection to Nomad; 0 for none", number(func(a *Agent) *int { return &a.MaxArmed })},
	{"broker.claim_fence", "claim-fence", []string{"GREENROOM_CLAIM_FENCE"}, Broker, "what decides a claim: consul, or none, by which a Redis that loses writes gives a session to a second user", text(func(a *Agent) *string { return &a.ClaimFence })},
}, towardServers()...)

// towardServers are the settings of TLS toward the three servers, in the
// environment under the names that the servers' own tools use.
func towardServers() []setting {
	var all []setting
	for _, s := range []struct {
		key, flag, name string
		of              Kind
		ca, caPath      string
		cert, key2      string
		server, skip    string
		tls             func(*Agent) *TLS
	}{
		{
			"nomad", "nomad", "Nomad", agents, "NOMAD_CACERT", "NOMAD_CAPATH", "NOMAD_CLIENT_CERT", "NOMAD_CLIENT_KEY",
			"NOMAD_TLS_SERVER_NAME", "NOMAD_SKIP_VERIFY", func(a *Agent) *TLS { return &a.NomadTLS },
		},
		{
			"consul", "consul", "Consul", everyOf, "CONSUL_CACERT", "CONSUL_CAPATH", "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY",
			"CONSUL_TLS_SERVER_NAME", "", func(a *Agent) *TLS { return &a.ConsulTLS },
		},
		{
			"redis", "redis", "Redis", everyOf, "GREENROOM_REDIS_CACERT", "GREENROOM_REDIS_CAPATH", "GREENROOM_REDIS_CLIENT_CERT", "GREENROOM_REDIS_CLIENT_KEY",
			"GREENROOM_REDIS_TLS_SERVER_NAME", "GREENROOM_REDIS_SKIP_VERIFY", func(a *Agent) *TLS { return &a.RedisTLS },
		},
	} {
		env := func(name string) []string {
			if name == "" {
				return nil
			}
			return []string{name}
		}
		all = append(
			all,
			setting{s.key + ".tls.ca_file", s.flag + "-ca-cert", env(s.ca), s.of, "PEM file of the authorities that vouch for " + s.name + "'s certificate", file(func(a *Agent) *string { return &s.tls(a).CAFile })},
			setting{s.key + ".tls.ca_path", s.flag + "-ca-path", env(s.caPath), s.of, "directory of such files", file(func(a *Agent) *string { return &s.tls(a).CAPath })},
			setting{s.key + ".tls.cert_file", s.flag + "-client-cert", env(s.cert), s.of, "PEM file of the certificate to show to " + s.name, file(func(a *Agent) *string { return &s.tls(a).CertFile })},
			setting{s.key + ".tls.key_file", s.flag + "-client-key", env(s.key2), s.of, "PEM file of its key", file(func(a *Agent) *string { return &s.tls(a).KeyFile })},
			setting{s.key + ".tls.server_name", s.flag + "-tls-server-name", env(s.server), s.of, "the name that " + s.name + "'s certificate must have, where it is not the address's", text(func(a *Agent) *string { return &s.tls(a).ServerName })},
			setting{s.key + ".tls.skip_verify", s.flag + "-skip-verify", env(s.skip), s.of, "believe any certificate of " + s.name + "'s: for tests alone", yesNo(func(a *Agent) *bool { return &s.tls(a).SkipVerify })},
		)
	}
	// Consul's own tools say these two so.
	return append(
		all,
		setting{"", "", []string{"CONSUL_HTTP_SSL_VERIFY"}, everyOf, "", not(yesNo(func(a *Agent) *bool { return &a.ConsulTLS.SkipVerify }))},
		setting{"", "", []string{"CONSUL_HTTP_SSL"}, everyOf, "", yesNo(func(a *Agent) *bool { return &a.consulSSL })},
	)
}
