package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// write writes files to a new directory.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load loads a broker's or scaler's configuration from arguments and an environment.
func load(t *testing.T, kind Kind, env map[string]string, args ...string) (Agent, error) {
	t.Helper()
	fs := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	l := Register(fs, kind, good())
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return l.load(l.paths, func(name string) string { return env[name] })
}

// TestWhereConsulsTokenComesFrom: the file counts before the variable, since Nomad sets both for a
// task with an identity, and a later source before an earlier one.
func TestWhereConsulsTokenComesFrom(t *testing.T) {
	dir := write(t, map[string]string{"a.hcl": "consul {\n  token_file = \"of-the-configuration\"\n}\n", "of-the-configuration": "a\n", "of-nomad": "b\n"})
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		what        string
		env         map[string]string
		args        []string
		token, path string
	}{
		{"the configuration's file", nil, []string{"--config", dir}, "a", file("of-the-configuration")},
		{"a variable over that file", map[string]string{"CONSUL_HTTP_TOKEN": "c"}, []string{"--config", dir}, "c", ""},
		{"both of Nomad's variables", map[string]string{"CONSUL_HTTP_TOKEN": "c", "CONSUL_HTTP_TOKEN_FILE": file("of-nomad")}, []string{"--config", dir}, "b", file("of-nomad")},
		{"a flag over both", map[string]string{"CONSUL_HTTP_TOKEN": "c", "CONSUL_HTTP_TOKEN_FILE": file("of-nomad")}, []string{"--consul-token-file", file("of-the-configuration")}, "a", file("of-the-configuration")},
	} {
		a, err := load(t, Broker, c.env, c.args...)
		if err != nil || string(a.ConsulToken) != c.token || a.ConsulTokenFile != c.path {
			t.Errorf("%s: a token of %q, %v", c.what, a.ConsulTokenFile, err)
		}
	}
}

func TestAFlagCountsBeforeAVariableBeforeAFile(t *testing.T) {
	dir := write(t, map[string]string{
		"a.hcl": "log_level = \"debug\"\nlog_format = \"json\"\nnomad {\n  address = \"http://file:1\"\n}\nbroker {\n  max_hooks = 7\n  max_armed = 8\n}\n",
		"b.hcl": "log_level = \"warn\"\nredis {\n  password_file = \"secret\"\n  user = \"someone\"\n}\nscaler {\n  bind = \"127.0.0.1:9\"\n}\n",
		// A directory's other files are not read.
		"secret": "from-file\n",
	})
	env := map[string]string{"NOMAD_ADDR": "http://env:2", "GREENROOM_MAX_HOOKS": "70", "CONSUL_HTTP_ADDR": "consul:8500", "GREENROOM_LOG_FORMAT": ""}
	a, err := load(t, Broker, env, "--config", dir, "--max-hooks", "700", "--redis-skip-verify=false")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"a file alone", a.LogFormat, "json"},
		{"the later file", a.LogLevel, "warn"},
		{"a variable over a file", a.NomadAddress, "http://env:2"},
		{"an address without a scheme", a.ConsulAddress, "http://consul:8500"},
		{"a flag over a variable", fmt.Sprint(a.MaxHooks), "700"},
		{"a number in a file", fmt.Sprint(a.MaxArmed), "8"},
		{"a secret in a file beside the configuration", string(a.RedisPassword), "from-file"},
		{"the default", a.Bind, good().Bind},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	roles := write(t, map[string]string{"a.hcl": "broker {\n  access {\n    enforced = true\n    oidc {\n      roles = { ops = \"admin\", help = \"viewer\" }\n    }\n  }\n}\n"})
	if a, err = load(t, Broker, nil, "--config", roles); err != nil || !a.Access.Enforced || a.Access.Roles["help"] != "viewer" || len(a.Access.Roles) != 2 {
		t.Errorf("roles in a file: %+v %v", a.Access, err)
	}
	if a, err = load(t, Broker, nil, "--config", roles, "--oidc-role", "a=launcher", "--oidc-role", "b=admin"); err != nil || len(a.Access.Roles) != 2 || a.Access.Roles["a"] != "launcher" {
		t.Errorf("roles in flags: %+v %v", a.Access, err)
	}
	claims := write(t, map[string]string{"a.hcl": "broker {\n  access {\n    oidc {\n      groups_prefix = \"greenroom-\"\n      required_claims = { hd = \"example.org\", \"realm.tier\" = \"gold=1\" }\n    }\n  }\n}\n"})
	if a, err = load(t, Broker, nil, "--config", claims, "--oidc-issuer", "https://login.example.org", "--oidc-audience", "g", "--oidc-user-claim", "sub", "--oidc-groups-claim", "groups"); err != nil ||
		a.Access.GroupsPrefix != "greenroom-" || len(a.Access.RequiredClaims) != 2 || a.Access.RequiredClaims["realm.tier"] != "gold=1" {
		t.Errorf("what a JWT must have, in a file: %+v %v", a.Access, err)
	}
	env = map[string]string{"GREENROOM_REDIS_PASSWORD": "from-env", "CONSUL_HTTP_ADDR": "consul:8501", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_SSL_VERIFY": "false"}
	if a, err = load(t, Scaler, env, "--config", dir); err != nil {
		t.Fatal(err)
	}
	if a.RedisPassword != "from-env" || a.ConsulAddress != "https://consul:8501" || !a.ConsulTLS.SkipVerify || a.Bind != "127.0.0.1:9" || a.MaxHooks != good().MaxHooks {
		t.Errorf("the scaler's: %+v", a)
	}
}

// TestTrustedProxiesAndTheExternalURL: in a file, in a variable and in flags.
func TestTrustedProxiesAndTheExternalURL(t *testing.T) {
	dir := write(t, map[string]string{
		"a.hcl":  "broker {\n  external_url = \"https://greenroom.example.org/\"\n  trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\"]\n  access {\n    oidc {\n      client_id = \"gr\"\n      client_secret_file = \"secret\"\n      scopes = [\"groups\"]\n    }\n  }\n}\n",
		"secret": "hush\n",
	})
	a, err := load(t, Broker, nil, "--config", dir)
	if err != nil || a.ExternalURL != "https://greenroom.example.org" || fmt.Sprint(a.TrustedProxies) != "[10.0.0.0/8 192.0.2.7/32]" {
		t.Errorf("%q %v %v", a.ExternalURL, a.TrustedProxies, err)
	}
	if a.Access.ClientID != "gr" || a.Access.ClientSecret != "hush" || fmt.Sprint(a.Access.Scopes) != "[groups]" {
		t.Errorf("%+v", a.Access)
	}
	env := map[string]string{"GREENROOM_TRUSTED_PROXIES": "10.1.2.3/16, ::1 fd00::/8", "GREENROOM_OIDC_CLIENT_SECRET": "hush too"}
	if a, err = load(t, Broker, env, "--config", dir); err != nil || fmt.Sprint(a.TrustedProxies) != "[10.1.0.0/16 ::1/128 fd00::/8]" || a.Access.ClientSecret != "hush too" {
		t.Errorf("%v %v", a.TrustedProxies, err)
	}
	delete(env, "GREENROOM_OIDC_CLIENT_SECRET")
	if a, err = load(t, Broker, env, "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.9.0.0/16"); err != nil || fmt.Sprint(a.TrustedProxies) != "[127.0.0.1/32 10.9.0.0/16]" {
		t.Errorf("%v %v", a.TrustedProxies, err)
	}
	for _, wrong := range []string{"nowhere", "10.0.0.0/33", "0.0.0.0/0", "::/0", "fe80::1%eth0"} {
		if _, err := load(t, Broker, nil, "--trusted-proxy", wrong); err == nil || !strings.Contains(err.Error(), "--trusted-proxy: ") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestEverythingThatIsWrongIsNamedWhereItWasSaid(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       []string
	}{
		{"unknown key", "\nnomd_address = 1\n", nil, nil, []string{"a.hcl:2: Unsupported argument"}},
		{"unknown block", "broker {\n}\nnomda {\n}\n", nil, nil, []string{"a.hcl:3: Unsupported block"}},
		{"unknown key in a block in a block", "redis {\n  tls {\n    on = true\n  }\n}\n", nil, nil, []string{"a.hcl:3: "}},
		{"wrong types", "log_level = 3\nbroker {\n  max_hooks = \"9\"\n  max_armed = [1]\n}\nredis {\n  tls {\n    enabled = \"yes\"\n  }\n}\n", nil, nil, []string{
			"a.hcl:1: log_level: must be a string, is a number", "a.hcl:3: broker.max_hooks: must be a number, is a string",
			"a.hcl:4: broker.max_armed: must be a number", "a.hcl:8: redis.tls.enabled: must be a bool",
		}},
		{"an object of other things", "broker {\n  access {\n    oidc {\n      roles = { ops = 3 }\n    }\n  }\n}\n", nil, nil, []string{"a.hcl:4: broker.access.oidc.roles: the value of ops must be a string"}},
		{"no object", "broker {\n  access {\n    oidc {\n      roles = \"ops=admin\"\n    }\n  }\n}\n", nil, nil, []string{"a.hcl:4: broker.access.oidc.roles: must be an object"}},
		{"a list of other things", "broker {\n  trusted_proxies = [3]\n}\n", nil, nil, []string{"a.hcl:2: broker.trusted_proxies: every element must be a string"}},
		{"no list", "broker {\n  trusted_proxies = \"10.0.0.0/8\"\n}\n", nil, nil, []string{"a.hcl:2: broker.trusted_proxies: must be a list, is a string"}},
		{"no role", "", nil, []string{"--oidc-role", "ops=root"}, []string{"--oidc-role: ops: the role"}},
		{"no value of a claim", "", nil, []string{"--oidc-required-claim", "hd"}, []string{"--oidc-required-claim: must be NAME=VALUE"}},
		{"two values of a claim", "", nil, []string{"--oidc-required-claim", "hd=a", "--oidc-required-claim", "hd=b"}, []string{"--oidc-required-claim: hd is there twice"}},
		{"a prefix of no groups", "broker {\n  access {\n    oidc {\n      groups_claim  = \"\"\n      groups_prefix = \"g-\"\n    }\n  }\n}\n", nil, nil, []string{"a.hcl:5: broker.access.oidc.groups_prefix: has no effect without"}},
		{"null", "log_level = null\n", nil, nil, []string{"a.hcl:1: log_level: must be a string, is a null"}},
		{"half a number", "broker {\n  max_hooks = 1.5\n}\n", nil, nil, []string{"a.hcl:2: broker.max_hooks: must be a whole number"}},
		{"a block twice", "nomad {\n}\nnomad {\n}\n", nil, nil, []string{"a.hcl:3: nomad: is there twice; the first is at line 1"}},
		{"no HCL", "broker {\n", nil, nil, []string{"a.hcl:1: "}},
		{"a secret in the file", "consul {\n  token = \"x\"\n}\n", nil, nil, []string{"a.hcl:2: Unsupported argument", "token"}},
		{"a variable in an expression", "log_level = env.HOME\n", nil, nil, []string{"a.hcl:1: "}},
		{"values that cannot be used", "log_level = \"loud\"\nnomad {\n  address = \"nowhere\"\n}\n", nil, nil, []string{
			"a.hcl:1: log_level: must be one of", "a.hcl:3: nomad.address: must be a URL",
		}},
		{"no such file", "consul {\n  token_file = \"none\"\n}\n", nil, nil, []string{"a.hcl:2: consul.token_file: the file ", "none cannot be read"}},
		{"half a pair", "broker {\n  tls {\n    key_file = \"a.hcl\"\n  }\n}\n", nil, nil, []string{"a.hcl:3: broker.tls.key_file: a key without its certificate"}},
		{"TLS that is off", "redis {\n  tls {\n    server_name = \"x\"\n  }\n}\n", nil, nil, []string{"--redis-tls: is not on"}},
		{"several servers of Redis without a word what they are", "redis {\n  address = \"a:1,b:2\"\n}\n", nil, nil, []string{"a.hcl:2: redis.address: are 2: several are of Sentinels"}},
		{"one of several addresses", "redis {\n  address = \"a:1, b\"\n  cluster = true\n}\n", nil, nil, []string{`a.hcl:2: redis.address: must be host:port, or several with commas between, is "b"`}},
		{"Sentinels of a Redis Cluster", "redis {\n  cluster = true\n  sentinel {\n    master = \"m\"\n  }\n}\n", nil, nil, []string{"a.hcl:2: redis.cluster: cannot be used with"}},
		{"a user of no Sentinel", "", map[string]string{"GREENROOM_REDIS_SENTINEL_USER": "u"}, nil, []string{"GREENROOM_REDIS_SENTINEL_USER: is set without"}},
		{"a password of no Sentinel", "", map[string]string{"GREENROOM_REDIS_SENTINEL_PASSWORD": "hush"}, nil, []string{"--redis-sentinel-password-file: is set, or GREENROOM_REDIS_SENTINEL_PASSWORD is, without"}},
		{"a user of Sentinels without a password", "redis {\n  sentinel {\n    master = \"m\"\n    user   = \"u\"\n  }\n}\n", nil, nil, []string{"a.hcl:4: redis.sentinel.user: is set without the password"}},
		{"a variable", "", map[string]string{"GREENROOM_MAX_HOOKS": "many", "NOMAD_ADDR": "x"}, nil, []string{"GREENROOM_MAX_HOOKS: must be a whole number", "NOMAD_ADDR: must be a URL"}},
		{"a flag", "", nil, []string{"--max-hooks", "0", "--bind", "x"}, []string{"--max-hooks: must be at least 1", "--bind: must be host:port"}},
		{"all at once", "a = 1\nb = 2\n", map[string]string{"GREENROOM_LOG_LEVEL": "x"}, []string{"--bind", "x"}, []string{"a.hcl:1: ", "a.hcl:2: ", "GREENROOM_LOG_LEVEL: ", "--bind: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, map[string]string{"a.hcl": tt.file})
			_, err := load(t, Broker, tt.env, append([]string{"--config", dir}, tt.args...)...)
			var wrong *FilesError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not named in:\n%v", want, err)
				}
			}
			if extra := len(wrong.Findings) - len(tt.want); extra > 0 && tt.name != "no such file" && tt.name != "a secret in the file" {
				t.Errorf("%d findings too many:\n%v", extra, err)
			}
		})
	}
}

func TestCheckValidatesAllAgents(t *testing.T) {
	defaults := map[Kind]Agent{Broker: good(), Scaler: good(), Gateway: good()}
	dir := write(t, map[string]string{"a.hcl": "log_level = \"loud\"\nbroker {\n  max_hooks = 0\n}\nscaler {\n  bind = \"x\"\n}\ngateway {\n  domain = \"*.x\"\n}\n"})
	var wrong *FilesError
	if err := Check([]string{dir}, defaults); !errors.As(err, &wrong) || len(wrong.Findings) != 4 {
		t.Errorf("got %v", err)
	}
	dir = write(t, map[string]string{"a.hcl": "broker {\n  max_hooks = 1\n}\n"})
	if err := Check([]string{dir}, defaults); err != nil {
		t.Errorf("a good file: %v", err)
	}
	if err := Check([]string{filepath.Join(dir, "none.hcl")}, defaults); err == nil || errors.As(err, &wrong) {
		t.Errorf("no file: %v", err)
	}
}

// TestSettingsTable: a key is unique, a flag is registered once per kind, and a setting
// without a flag and a key has a variable.
func TestSettingsTable(t *testing.T) {
	keys := map[string]bool{}
	for _, s := range settings {
		if s.key != "" && keys[s.key] {
			t.Errorf("the key %s is not unique", s.key)
		}
		keys[s.key] = true
		if s.key == "" && len(s.env) == 0 {
			t.Errorf("%+v cannot be set", s)
		}
		if s.set == nil || s.key != "" && s.hclType == "" {
			t.Errorf("%s: %+v", s.key, s)
		}
	}
	for _, kind := range []Kind{Broker, Scaler, Stores} {
		Register(pflag.NewFlagSet("x", pflag.PanicOnError), kind, good())
	}
}
