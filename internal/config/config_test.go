package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func good() Agent {
	return Agent{
		Access: Access{
			Issuer: "https://login.example.org", Audience: "greenroom", UserClaim: "sub", RoleClaim: "roles", Roles: map[string]string{"ops": "admin"},
		},
		Bind: "127.0.0.1:7480", NomadAddress: "http://127.0.0.1:4646", ConsulAddress: "http://127.0.0.1:8500",
		RedisAddress: "127.0.0.1:6379", MaxDesiredSessions: 10, MaxLaunches: 1, MaxOnDemand: 1, MaxOnDemandQueue: 1, MaxHooks: 1, LogLevel: "info", LogFormat: "text",
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	if err := good().Validate(); err != nil {
		t.Fatalf("a good configuration is refused: %v", err)
	}
	cases := map[string]func(*Agent){
		"--bind":                 func(a *Agent) { a.Bind = "7480" },
		"--redis-address":        func(a *Agent) { a.RedisAddress = "redis:99999" },
		"--token":                func(a *Agent) { a.Token = "guess me" },
		"--nomad-address":        func(a *Agent) { a.NomadAddress = "127.0.0.1:4646" },
		"--consul-address":       func(a *Agent) { a.ConsulAddress = "ftp://x" },
		"--max-desired-sessions": func(a *Agent) { a.MaxDesiredSessions = 0 },
		"--max-launches":         func(a *Agent) { a.MaxLaunches = 0 },
		"--max-on-demand":        func(a *Agent) { a.MaxOnDemand = -1 },
		"--max-on-demand-queue":  func(a *Agent) { a.MaxOnDemandQueue = 0 },
		"--max-hooks":            func(a *Agent) { a.MaxHooks = 0 },
		"--max-armed":            func(a *Agent) { a.MaxArmed = -1 },
		"--max-token-life":       func(a *Agent) { a.MaxTokenLife = time.Second },
		"--log-level":            func(a *Agent) { a.LogLevel = "loud" },
		"--oidc-issuer":          func(a *Agent) { a.Access.Issuer = "http://login.example.org" },
		"--oidc-audience":        func(a *Agent) { a.Access.Audience = "" },
		"--oidc-user-claim":      func(a *Agent) { a.Access.UserClaim = "" },
		"--oidc-role-claim":      func(a *Agent) { a.Access.RoleClaim = "" },
		"--oidc-groups-prefix":   func(a *Agent) { a.Access.GroupsClaim, a.Access.GroupsPrefix = "", "greenroom-" },
		"--oidc-required-claim":  func(a *Agent) { a.Access.RequiredClaims = map[string]string{"hd": ""} },
		"--oidc-role":            func(a *Agent) { a.Access.Roles = map[string]string{"ops": "root"} },
		"--oidc-client-id":       func(a *Agent) { a.Access.ClientSecret = "hush" },
		"--external-url":         func(a *Agent) { a.ExternalURL = "greenroom.example.org" },
		"--log-format":           func(a *Agent) { a.LogFormat = "xml" },

		"--max-sessions-per-user":  func(a *Agent) { a.MaxSessionsPerUser = -1 },
		"--gateway-bind":           func(a *Agent) { a.Gateway.Bind = "7482" },
		"--gateway-url":            func(a *Agent) { a.Gateway.URL = "https://desk.example.org/x" },
		"--gateway-domain":         func(a *Agent) { a.Gateway.Domain = "*.desk.example.org" },
		"--gateway-allowed-origin": func(a *Agent) { a.Gateway.AllowedOrigins = []string{"portal.example.org"} },
		"--gateway-tls-cert":       func(a *Agent) { a.Gateway.TLSCert = "x.pem" },
		"--gateway-max-open":       func(a *Agent) { a.Gateway.MaxOpen = -1 },
		"--user-rate":              func(a *Agent) { a.UserRate = -1 },
	}
	for flag, spoil := range cases {
		a := good()
		spoil(&a)
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), flag+":") {
			t.Errorf("%s: got %v", flag, err)
		}
	}
}

func TestAnUnguardedAPIStaysOnLoopback(t *testing.T) {
	for bind, ok := range map[string]bool{
		"127.0.0.1:7480": true, "[::1]:7480": true, "localhost:7480": true,
		"0.0.0.0:7480": false, ":7480": false, "192.0.2.1:7480": false, "[::]:7480": false,
	} {
		a := good()
		a.Bind, a.Access = bind, Access{}
		if err := a.Guarded(); (err == nil) != ok {
			t.Errorf("%s without a token: got %v", bind, err)
		}
		for what, guard := range map[string]func(*Agent){
			"a token":   func(a *Agent) { a.Token = "0123456789abcdef" },
			"--access":  func(a *Agent) { a.Access.Enforced = true },
			"an issuer": func(a *Agent) { a.Access.Issuer = "https://login.example.org" },
		} {
			b := a
			guard(&b)
			if err := b.Guarded(); err != nil {
				t.Errorf("%s with %s: got %v", bind, what, err)
			}
		}
	}
}

// TestAnUnguardedAPIIsNotShownToOthersByAProxy: an external URL says that others reach it.
func TestAnUnguardedAPIIsNotShownToOthersByAProxy(t *testing.T) {
	for external, ok := range map[string]bool{
		"https://greenroom.example.org": false, "http://127.0.0.1:8080": true, "http://localhost": true, "": true,
	} {
		a := good()
		a.Access, a.ExternalURL = Access{}, external
		if err := a.Guarded(); (err == nil) != ok {
			t.Errorf("%q without a token: %v", external, err)
		}
	}
}

// TestLoginsNeedAnExternalURLThatNobodyCanRead: the code of a login comes back to it.
func TestLoginsNeedAnExternalURLThatNobodyCanRead(t *testing.T) {
	for external, ok := range map[string]bool{
		"https://greenroom.example.org": true, "https://example.org/greenroom": true, "http://127.0.0.1:8080": true,
		"": false, "http://greenroom.example.org": false, "https://a@b.example": false, "https://b.example?x": false, "https://b.example#x": false,
		"javascript:alert(1)": false, "https://": false, "//b.example": false,
	} {
		a := good()
		a.Access.ClientID, a.ExternalURL = "greenroom", external
		if err := a.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", external, err)
		}
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	a := good()
	a.Token, a.NomadToken, a.Access.ClientSecret = "hush-hush", "hush-hush", "hush-hush"
	if s := fmt.Sprintf("%v %+v %#v %s", a, a, a, a.Token); strings.Contains(s, "hush-hush") {
		t.Errorf("the secret is visible: %s", s)
	}
}
