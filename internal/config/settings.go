package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a program with a configuration. Kinds can be combined as bits.
type Kind uint8

// The kinds.
const (
	Broker Kind = 1 << iota
	Scaler
	// Stores is a tool that connects to Consul and Redis and is not an agent.
	Stores
	Gateway
)

const (
	agentKinds = Broker | Scaler | Gateway
	allKinds   = agentKinds | Stores
)

// setting is one setting: a key in a file, a variable of the environment, and a flag.
// The later of these three overrides the earlier.
type setting struct {
	// key has a part per block and the attribute, with dots between; "" for none.
	key string
	// flag is "" if the value must not be visible in a list of processes.
	flag string
	// env has the names of variables; the first that is set counts.
	env   []string
	kinds Kind
	help  string
	value
}

// value is the type of a setting's value and the field that it is stored in.
type value struct {
	// hclType is the type in a file: "string", "number", "bool", "object" for an object of
	// strings, which as text has a line KEY=VALUE for each, or "list" for a list of strings,
	// which as text has a line for each. "" if the value must not be in a file.
	hclType string
	// decimal is set if a number need not be whole.
	decimal bool
	// path is set if the value is a file's path. In a configuration file it is relative to
	// that file's directory.
	path bool
	// labelled is set for an attribute of blocks with a label. As text the value has a line
	// LABEL=VALUE for each.
	labelled bool
	// set parses text and stores it.
	set func(a *Agent, text string) error
	// get returns the value as text, for a flag's default; nil for a secret.
	get func(a *Agent) string
}

func str(field func(*Agent) *string) value {
	return value{
		hclType: "string",
		set:     func(a *Agent, text string) error { *field(a) = text; return nil },
		get:     func(a *Agent) string { return *field(a) },
	}
}

// filePath is the path of a file that must exist.
func filePath(field func(*Agent) *string) value {
	v := str(field)
	v.path = true
	v.set = func(a *Agent, path string) error {
		*field(a) = path
		if _, err := os.Stat(path); err != nil {
			return unreadableFile(err)
		}
		return nil
	}
	return v
}

func duration(field func(*Agent) *time.Duration) value {
	return value{
		hclType: "string",
		set: func(a *Agent, text string) error {
			d, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("must be a duration such as 90s or 2m, is %q", text)
			}
			*field(a) = d
			return nil
		},
		get: func(a *Agent) string { return field(a).String() },
	}
}

func number(field func(*Agent) *int) value {
	return value{
		hclType: "number",
		set: func(a *Agent, text string) error {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("must be a whole number, is %q", text)
			}
			*field(a) = n
			return nil
		},
		get: func(a *Agent) string { return strconv.Itoa(*field(a)) },
	}
}

// decimal is a number that need not be whole.
func decimal(field func(*Agent) *float64) value {
	return value{
		hclType: "number", decimal: true,
		set: func(a *Agent, text string) error {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("must be a number, is %q", text)
			}
			*field(a) = n
			return nil
		},
		get: func(a *Agent) string { return strconv.FormatFloat(*field(a), 'g', -1, 64) },
	}
}

func boolean(field func(*Agent) *bool) value {
	return value{
		hclType: "bool",
		set: func(a *Agent, text string) error {
			b, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("must be true or false, is %q", text)
			}
			*field(a) = b
			return nil
		},
		get: func(a *Agent) string { return strconv.FormatBool(*field(a)) },
	}
}

// stringMap is a map of strings.
func stringMap(field func(*Agent) *map[string]string) value {
	return value{hclType: "object", set: func(a *Agent, text string) error {
		all := map[string]string{}
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }) {
			key, v, ok := strings.Cut(line, "=")
			if !ok || key == "" {
				return fmt.Errorf("must be NAME=VALUE, is %q", line)
			}
			if _, twice := all[key]; twice {
				return fmt.Errorf("%s is there twice", key)
			}
			all[key] = v
		}
		*field(a) = all
		return nil
	}}
}

// list is a list of strings. In a variable, and in one flag, commas or spaces separate them.
func list(set func(a *Agent, all []string) error) value {
	return value{hclType: "list", set: func(a *Agent, text string) error {
		return set(a, strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ',' || r == ' ' }))
	}}
}

// secret is a secret that only the environment may contain.
func secret(field func(*Agent) *Secret) value {
	return value{set: func(a *Agent, text string) error { *field(a) = Secret(text); return nil }}
}

// secretFromFile is the path of a file with a secret. Line ends after it are dropped.
func secretFromFile(field func(*Agent) *Secret) value {
	return value{hclType: "string", path: true, set: func(a *Agent, path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return unreadableFile(err)
		}
		s := strings.TrimRight(string(b), "\r\n")
		if s == "" {
			return fmt.Errorf("the file %s is empty", path)
		}
		*field(a) = Secret(s)
		return nil
	}}
}

// consulToken is a token for Consul that stays the same.
func consulToken() value {
	return value{set: func(a *Agent, text string) error { a.ConsulToken, a.ConsulTokenFile = Secret(text), ""; return nil }}
}

// consulTokenFile is the path of a file with the token for Consul.
func consulTokenFile() value {
	v := secretFromFile(func(a *Agent) *Secret { return &a.ConsulToken })
	read := v.set
	v.set = func(a *Agent, path string) error {
		a.ConsulTokenFile = path
		return read(a, path)
	}
	return v
}

func unreadableFile(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("the file %s cannot be read: %w", path.Path, path.Err)
	}
	return err
}

// inverted is a boolean with the opposite value.
func inverted(v value) value {
	set := v.set
	v.set = func(a *Agent, text string) error {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("must be true or false, is %q", text)
		}
		return set(a, strconv.FormatBool(!b))
	}
	v.hclType, v.get = "", nil
	return v
}

// settings lists all settings in the order in which they are read. If two set the same
// field from the same source, the later one overrides.
var settings = slices.Concat(agentSettings, peerSettings, gatewaySettings, tracingSettings(), serverTLSSettings())

var agentSettings = []setting{
	{"broker.bind", "bind", []string{"GREENROOM_BIND"}, Broker, "host:port to listen on", str(func(a *Agent) *string { return &a.Bind })},
	{"scaler.bind", "bind", []string{"GREENROOM_BIND"}, Scaler, "host:port to listen on", str(func(a *Agent) *string { return &a.Bind })},
	{"log_level", "log-level", []string{"GREENROOM_LOG_LEVEL"}, agentKinds, "trace, debug, info, warn or error", str(func(a *Agent) *string { return &a.LogLevel })},
	{"log_format", "log-format", []string{"GREENROOM_LOG_FORMAT"}, agentKinds, "text or json", str(func(a *Agent) *string { return &a.LogFormat })},

	{"nomad.address", "nomad-address", []string{"NOMAD_ADDR"}, agentKinds, "Nomad's HTTP API", str(func(a *Agent) *string { return &a.NomadAddress })},
	{"nomad.token_file", "nomad-token-file", nil, agentKinds, "a file with the ACL token for Nomad", secretFromFile(func(a *Agent) *Secret { return &a.NomadToken })},
	{"", "", []string{"NOMAD_TOKEN"}, agentKinds, "", secret(func(a *Agent) *Secret { return &a.NomadToken })},

	{"consul.address", "consul-address", []string{"CONSUL_HTTP_ADDR"}, allKinds, "Consul's HTTP API", str(func(a *Agent) *string { return &a.ConsulAddress })},
	// Nomad sets both variables for a task with an identity for Consul. As in Consul's own tools, the file counts.
	{"", "", []string{"CONSUL_HTTP_TOKEN"}, allKinds, "", consulToken()},
	{"consul.token_file", "consul-token-file", []string{"CONSUL_HTTP_TOKEN_FILE"}, allKinds, "a file with the ACL token for Consul, which is read again when it changes", consulTokenFile()},

	{"consul.prefix", "consul-prefix", []string{"GREENROOM_CONSUL_PREFIX"}, allKinds, "begins the names of this installation's keys (PREFIX/...) and services (PREFIX-pool-...) in Consul; installations that share a Consul need different ones", str(func(a *Agent) *string { return &a.ConsulPrefix })},

	{"redis.address", "redis-address", []string{"GREENROOM_REDIS_ADDR"}, allKinds, "Redis, host:port; several Sentinels, or nodes of a Redis Cluster, with commas between", str(func(a *Agent) *string { return &a.RedisAddress })},
	{"redis.sentinel.master", "redis-sentinel-master", []string{"GREENROOM_REDIS_SENTINEL_MASTER"}, allKinds, "the name that Sentinels have for the primary; the addresses are theirs then", str(func(a *Agent) *string { return &a.RedisSentinel.Master })},
	{"redis.sentinel.user", "redis-sentinel-user", []string{"GREENROOM_REDIS_SENTINEL_USER"}, allKinds, "the ACL user of the Sentinels; empty for the default user", str(func(a *Agent) *string { return &a.RedisSentinel.User })},
	{"redis.sentinel.password_file", "redis-sentinel-password-file", []string{"GREENROOM_REDIS_SENTINEL_PASSWORD_FILE"}, allKinds, "a file with the password for the Sentinels", secretFromFile(func(a *Agent) *Secret { return &a.RedisSentinel.Password })},
	{"", "", []string{"GREENROOM_REDIS_SENTINEL_PASSWORD"}, allKinds, "", secret(func(a *Agent) *Secret { return &a.RedisSentinel.Password })},
	{"redis.cluster", "redis-cluster", []string{"GREENROOM_REDIS_CLUSTER"}, allKinds, "the addresses are of a Redis Cluster", boolean(func(a *Agent) *bool { return &a.RedisCluster })},
	{"redis.prefix", "redis-prefix", []string{"GREENROOM_REDIS_PREFIX"}, allKinds, "begins the names of this installation's keys in Redis (PREFIX:...); installations that share a Redis need different ones", str(func(a *Agent) *string { return &a.RedisPrefix })},
	{"redis.user", "redis-user", []string{"GREENROOM_REDIS_USER"}, allKinds, "the ACL user of Redis; empty for the default user", str(func(a *Agent) *string { return &a.RedisUser })},
	{"redis.password_file", "redis-password-file", []string{"GREENROOM_REDIS_PASSWORD_FILE"}, allKinds, "a file with the password for Redis", secretFromFile(func(a *Agent) *Secret { return &a.RedisPassword })},
	{"", "", []string{"GREENROOM_REDIS_PASSWORD"}, allKinds, "", secret(func(a *Agent) *Secret { return &a.RedisPassword })},
	{"redis.tls.enabled", "redis-tls", []string{"GREENROOM_REDIS_TLS"}, allKinds, "connect to Redis by TLS", boolean(func(a *Agent) *bool { return &a.RedisUseTLS })},

	{"broker.access.enforced", "access", []string{"GREENROOM_ACCESS"}, Broker, "require a token of every caller; greenroom bootstrap creates the first", boolean(func(a *Agent) *bool { return &a.Access.Enforced })},
	{"broker.access.allow_open_consul", "allow-open-consul", []string{"GREENROOM_ALLOW_OPEN_CONSUL"}, Broker, "require tokens although Consul lets anybody read or write them, for trials", boolean(func(a *Agent) *bool { return &a.AllowOpenConsul })},
	{"broker.access.max_token_life", "max-token-life", []string{"GREENROOM_MAX_TOKEN_LIFE"}, Broker, "how long a new token works at most, such as 2160h, and one that does not say how long; 0s for no bound", duration(func(a *Agent) *time.Duration { return &a.MaxTokenLife })},
	{"broker.access.oidc.issuer", "oidc-issuer", []string{"GREENROOM_OIDC_ISSUER"}, Broker, "URL of an OpenID Connect issuer whose JWTs are accepted as tokens", str(func(a *Agent) *string { return &a.Access.Issuer })},
	{"broker.access.oidc.audience", "oidc-audience", []string{"GREENROOM_OIDC_AUDIENCE"}, Broker, "the audience that a JWT must have", str(func(a *Agent) *string { return &a.Access.Audience })},
	{"broker.access.oidc.user_claim", "oidc-user-claim", []string{"GREENROOM_OIDC_USER_CLAIM"}, Broker, "the claim with the user's id", str(func(a *Agent) *string { return &a.Access.UserClaim })},
	{"broker.access.oidc.groups_claim", "oidc-groups-claim", []string{"GREENROOM_OIDC_GROUPS_CLAIM"}, Broker, "the claim that lists the user's groups, such as groups; a user with none of the groups that greenroom has is in the default group, if there is one", str(func(a *Agent) *string { return &a.Access.GroupsClaim })},
	{"broker.access.oidc.groups_prefix", "oidc-groups-prefix", []string{"GREENROOM_OIDC_GROUPS_PREFIX"}, Broker, "only groups that begin with this count, without it: with greenroom- the group greenroom-students is greenroom's students", str(func(a *Agent) *string { return &a.Access.GroupsPrefix })},
	{"broker.access.oidc.required_claims", "oidc-required-claim", nil, Broker, "a claim and the value that it must have, or have in its list, such as hd=example.org; other JWTs are refused; may be repeated for other claims", stringMap(func(a *Agent) *map[string]string { return &a.Access.RequiredClaims })},
	{"broker.access.oidc.role_claim", "oidc-role-claim", []string{"GREENROOM_OIDC_ROLE_CLAIM"}, Broker, "the claim whose values --oidc-role maps to roles, such as realm_access.roles", str(func(a *Agent) *string { return &a.Access.RoleClaim })},
	{"broker.access.oidc.roles", "oidc-role", nil, Broker, "a value of the role claim and its role (admin, launcher or viewer), such as ops=admin; may be repeated", stringMap(func(a *Agent) *map[string]string { return &a.Access.Roles })},
	{"broker.access.oidc.client_id", "oidc-client-id", []string{"GREENROOM_OIDC_CLIENT_ID"}, Broker, "the id of the broker's client at the issuer, with which browsers log in to the page; empty for no such login", str(func(a *Agent) *string { return &a.Access.ClientID })},
	{"broker.access.oidc.client_secret_file", "oidc-client-secret-file", []string{"GREENROOM_OIDC_CLIENT_SECRET_FILE"}, Broker, "a file with the secret of that client", secretFromFile(func(a *Agent) *Secret { return &a.Access.ClientSecret })},
	{"", "", []string{"GREENROOM_OIDC_CLIENT_SECRET"}, Broker, "", secret(func(a *Agent) *Secret { return &a.Access.ClientSecret })},
	{"broker.access.oidc.provider_name", "oidc-provider-name", []string{"GREENROOM_OIDC_PROVIDER_NAME"}, Broker, "the issuer's name on the page's button Log in with NAME; its host, if empty", str(func(a *Agent) *string { return &a.Access.ProviderName })},
	{"broker.access.oidc.scopes", "oidc-scope", []string{"GREENROOM_OIDC_SCOPES"}, Broker, "a scope that a login requests beside openid; may be repeated (default profile)", list(func(a *Agent, all []string) error { a.Access.Scopes = all; return nil })},
	{"broker.external_url", "external-url", []string{"GREENROOM_EXTERNAL_URL"}, Broker | Gateway, "the URL by which browsers reach the broker, such as https://greenroom.example.org of a proxy that ends TLS; redirects use it, and with https the login's cookie is sent over TLS alone", value{
		hclType: "string", set: externalURL, get: func(a *Agent) string { return a.ExternalURL },
	}},
	{"broker.trusted_proxies", "trusted-proxy", []string{"GREENROOM_TRUSTED_PROXIES"}, Broker | Gateway, "an address or range (10.0.0.0/8) of proxies whose X-Forwarded-For names the client, for the log, the audit and limits of an address; may be repeated", list(proxies)},
	{"broker.token_file", "token-file", []string{"GREENROOM_TOKEN_FILE"}, Broker, "a file with an administrator's token", secretFromFile(func(a *Agent) *Secret { return &a.Token })},
	{"", "token", []string{"GREENROOM_TOKEN"}, Broker, "", secret(func(a *Agent) *Secret { return &a.Token })},
	{"broker.audit_required", "audit-required", []string{"GREENROOM_AUDIT_REQUIRED"}, Broker, "refuse launches and changes while no audit record can be written to the log", boolean(func(a *Agent) *bool { return &a.AuditRequired })},
	{"broker.tls.cert_file", "tls-cert", []string{"GREENROOM_TLS_CERT"}, Broker, "serve https with the certificates in this PEM file, reloaded when it changes and on SIGHUP", filePath(func(a *Agent) *string { return &a.TLSCert })},
	{"broker.tls.key_file", "tls-key", []string{"GREENROOM_TLS_KEY"}, Broker, "the PEM file of the certificate's key", filePath(func(a *Agent) *string { return &a.TLSKey })},
	{"broker.max_desired_sessions", "max-desired-sessions", []string{"GREENROOM_MAX_DESIRED_SESSIONS"}, Broker, "the largest desired_sessions of one staging config", number(func(a *Agent) *int { return &a.MaxDesiredSessions })},
	{"broker.max_launches", "max-launches", []string{"GREENROOM_MAX_LAUNCHES"}, Broker, "concurrent launches; more are refused with 503 and Retry-After", number(func(a *Agent) *int { return &a.MaxLaunches })},
	{"broker.max_on_demand", "max-on-demand", []string{"GREENROOM_MAX_ON_DEMAND"}, Broker, "concurrent on-demand starts; each holds a connection to Nomad, which accepts 100 from one address", number(func(a *Agent) *int { return &a.MaxOnDemand })},
	{"broker.max_on_demand_queue", "max-on-demand-queue", []string{"GREENROOM_MAX_ON_DEMAND_QUEUE"}, Broker, "launches that wait for their turn when max-on-demand are being started, for as long as their callers do; more are refused with 503 and Retry-After", number(func(a *Agent) *int { return &a.MaxOnDemandQueue })},
	{"broker.max_hooks", "max-hooks", []string{"GREENROOM_MAX_HOOKS"}, Broker, "concurrent assign and go hooks; each holds a connection to Nomad", number(func(a *Agent) *int { return &a.MaxHooks })},
	{"broker.max_armed", "max-armed", []string{"GREENROOM_MAX_ARMED"}, Broker, "shells opened in ready sessions ahead of time for the next assign hooks; each holds a connection to Nomad; 0 for none", number(func(a *Agent) *int { return &a.MaxArmed })},
	{"broker.max_sessions_per_user", "max-sessions-per-user", []string{"GREENROOM_MAX_SESSIONS_PER_USER"}, Broker, "sessions that a user may have at once whose groups set no max_sessions_per_user; 0 for no limit", number(func(a *Agent) *int { return &a.MaxSessionsPerUser })},
	{"broker.user_rate", "user-rate", []string{"GREENROOM_USER_RATE"}, Broker, "launches a second for one user, in bursts of twice as many; more are refused with 429 and Retry-After; 0 for no limit", decimal(func(a *Agent) *float64 { return &a.UserRate })},
	{"broker.drain_timeout", "drain-timeout", []string{"GREENROOM_DRAIN_TIMEOUT"}, Broker, "how long a broker that is told to stop finishes launches that have claimed a session; what stops it, such as Nomad's kill_timeout, must wait longer", duration(func(a *Agent) *time.Duration { return &a.DrainTimeout })},
	{"broker.claim_fence", "claim-fence", []string{"GREENROOM_CLAIM_FENCE"}, Broker, "what decides a claim: consul, or none, with which a session may get a second user if Redis loses writes", str(func(a *Agent) *string { return &a.ClaimFence })},
}

// serverTLSSettings returns the settings of TLS to the servers. Their variables
// have the names that the servers' own tools use.
func serverTLSSettings() []setting {
	var all []setting
	for _, s := range []struct {
		key, flag, name string
		kinds           Kind
		ca, caPath      string
		cert, keyFile   string
		server, skip    string
		tls             func(*Agent) *TLS
	}{
		{
			"nomad", "nomad", "Nomad", agentKinds, "NOMAD_CACERT", "NOMAD_CAPATH", "NOMAD_CLIENT_CERT", "NOMAD_CLIENT_KEY",
			"NOMAD_TLS_SERVER_NAME", "NOMAD_SKIP_VERIFY", func(a *Agent) *TLS { return &a.NomadTLS },
		},
		{
			"consul", "consul", "Consul", allKinds, "CONSUL_CACERT", "CONSUL_CAPATH", "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY",
			"CONSUL_TLS_SERVER_NAME", "", func(a *Agent) *TLS { return &a.ConsulTLS },
		},
		{
			"redis", "redis", "Redis", allKinds, "GREENROOM_REDIS_CACERT", "GREENROOM_REDIS_CAPATH", "GREENROOM_REDIS_CLIENT_CERT", "GREENROOM_REDIS_CLIENT_KEY",
			"GREENROOM_REDIS_TLS_SERVER_NAME", "GREENROOM_REDIS_SKIP_VERIFY", func(a *Agent) *TLS { return &a.RedisTLS },
		},
		{
			"tracing", "tracing", "the collector of traces", Broker, "OTEL_EXPORTER_OTLP_CERTIFICATE", "", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
			"", "", func(a *Agent) *TLS { return &a.Tracing.TLS },
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
			setting{s.key + ".tls.ca_file", s.flag + "-ca-cert", env(s.ca), s.kinds, "PEM file of the authorities that sign " + s.name + "'s certificate", filePath(func(a *Agent) *string { return &s.tls(a).CAFile })},
			setting{s.key + ".tls.ca_path", s.flag + "-ca-path", env(s.caPath), s.kinds, "directory of such files", filePath(func(a *Agent) *string { return &s.tls(a).CAPath })},
			setting{s.key + ".tls.cert_file", s.flag + "-client-cert", env(s.cert), s.kinds, "PEM file of the client certificate for " + s.name, filePath(func(a *Agent) *string { return &s.tls(a).CertFile })},
			setting{s.key + ".tls.key_file", s.flag + "-client-key", env(s.keyFile), s.kinds, "PEM file of its key", filePath(func(a *Agent) *string { return &s.tls(a).KeyFile })},
			setting{s.key + ".tls.server_name", s.flag + "-tls-server-name", env(s.server), s.kinds, "the name in " + s.name + "'s certificate, if it is not the host of the address", str(func(a *Agent) *string { return &s.tls(a).ServerName })},
			setting{s.key + ".tls.skip_verify", s.flag + "-skip-verify", env(s.skip), s.kinds, "accept any certificate of " + s.name + "; only for tests", boolean(func(a *Agent) *bool { return &s.tls(a).SkipVerify })},
		)
	}
	// Consul's own tools read these two variables.
	return append(
		all,
		setting{"", "", []string{"CONSUL_HTTP_SSL_VERIFY"}, allKinds, "", inverted(boolean(func(a *Agent) *bool { return &a.ConsulTLS.SkipVerify }))},
		setting{"", "", []string{"CONSUL_HTTP_SSL"}, allKinds, "", boolean(func(a *Agent) *bool { return &a.consulSSL })},
	)
}
