package httpapi_test

import (
	"bufio"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
)

// trusted are the proxies of these tests.
var trusted = httpapi.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// TestTheClientsAddressIsATrustedProxysWord: it is the last one that no trusted proxy has, and
// what others wrote before it counts for nothing.
func TestTheClientsAddressIsATrustedProxysWord(t *testing.T) {
	for name, tt := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                                 {"192.0.2.1:9", nil, "192.0.2.1"},
		"a stranger who forges":                    {"192.0.2.1:9", []string{"198.51.100.7"}, "192.0.2.1"},
		"a stranger who forges a proxy":            {"192.0.2.1:9", []string{"198.51.100.7, 10.0.0.1"}, "192.0.2.1"},
		"a proxy":                                  {"10.0.0.1:9", []string{"198.51.100.7"}, "198.51.100.7"},
		"a proxy that adds nothing":                {"10.0.0.1:9", nil, "10.0.0.1"},
		"an empty header":                          {"10.0.0.1:9", []string{""}, "10.0.0.1"},
		"a client of a proxy who forges":           {"10.0.0.1:9", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7"},
		"a client of a proxy who forges a proxy":   {"10.0.0.1:9", []string{"203.0.113.9, 10.0.0.2, 198.51.100.7"}, "198.51.100.7"},
		"a client who forges, and a line for each": {"10.0.0.1:9", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		"two proxies":                              {"10.0.0.1:9", []string{"203.0.113.9, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"two proxies, and a line for each":         {"10.0.0.1:9", []string{"203.0.113.9, 198.51.100.7", "10.0.0.2"}, "198.51.100.7"},
		"proxies alone":                            {"10.0.0.1:9", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"nonsense":                                 {"10.0.0.1:9", []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		"nonsense before a proxy":                  {"10.0.0.1:9", []string{"<script>, 10.0.0.2"}, "10.0.0.2"},
		"a port":                                   {"10.0.0.1:9", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		"IPv6":                                     {"[fd00::1]:9", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 with a port":                         {"[fd00::1]:9", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		"IPv4 as IPv6":                             {"[::ffff:10.0.0.1]:9", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"endless proxies":                          {"10.0.0.1:9", []string{"198.51.100.7" + strings.Repeat(", 10.0.0.2", 1000)}, "10.0.0.2"},
	} {
		f := newFake()
		g, _ := loginGuard(access.Viewer)
		e := newEdge(t, f, func(o *httpapi.Options) { o.Guard, o.Proxies = g, trusted })
		got := e.do("GET", "/v1/sessions", "", func(r *http.Request) {
			r.RemoteAddr = tt.peer
			for _, line := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", line)
			}
			r.Header.Set("X-Real-Ip", "203.0.113.1")
			r.Header.Set("Forwarded", "for=203.0.113.2")
		})
		if got.status != 401 || len(f.audits) != 1 || f.audits[0].Remote != tt.want {
			t.Errorf("%s: %d, the audit has %+v, want %s", name, got.status, f.audits, tt.want)
		}
		if !strings.Contains(e.log.String(), `"remote":"`+tt.want+`"`) {
			t.Errorf("%s: the log has %s", name, e.log)
		}
	}
}

// TestLimitsOfAnAddressAreThoseOfAProxysClient: one client of a proxy does not use up what
// another has, and nobody gets a share by a header.
func TestLimitsOfAnAddressAreThoseOfAProxysClient(t *testing.T) {
	g, _ := loginGuard(access.Viewer)
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard, o.Proxies = g, trusted })
	wrong := func(peer, client string) int {
		return e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer grt_wrong"), header("X-Forwarded-For", client),
			func(r *http.Request) { r.RemoteAddr = peer + ":9" }).status
	}
	exhaust := func(peer string, client func(i int) string) (throttled bool) {
		for i := range 200 {
			throttled = wrong(peer, client(i)) == 429
		}
		return throttled
	}
	const proxy = "10.0.0.1"
	if !exhaust(proxy, func(int) string { return "198.51.100.7" }) {
		t.Error("200 wrong tokens of a proxy's client are answered")
	}
	if got := wrong(proxy, "198.51.100.8"); got != 401 {
		t.Errorf("another client of the proxy: %d", got)
	}
	if !exhaust("192.0.2.1", func(i int) string { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}).String() }) {
		t.Error("a stranger has a limit for each address that it forges")
	}
	if !exhaust(proxy, func(i int) string { return "198.51.100." + string(rune('0'+i%10)) + ", 198.51.100.9" }) {
		t.Error("a client of a proxy has a limit for each address that it forges")
	}
	if !exhaust(proxy, func(i int) string { return netip.MustParseAddr("2001:db8::").String() + string(rune('0'+i%10)) }) {
		t.Error("a network of IPv6 has a limit for each of its addresses")
	}
	if got := wrong(proxy, "2001:db8:0:1::1"); got != 401 {
		t.Errorf("another network of IPv6: %d", got)
	}
}

// TestATrustedProxyMayHaveAllConnections: they are those of all of its clients.
func TestATrustedProxyMayHaveAllConnections(t *testing.T) {
	s, all := eightConnections(t, httpapi.Proxies{netip.MustParsePrefix("127.0.0.1/32")})
	for i, c := range all {
		must(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		if _, err := bufio.NewReader(c).ReadByte(); err == nil || !isTimeout(err) {
			t.Errorf("connection %d of a trusted proxy is closed: %v", i, err)
		}
	}
	ask(t, dialFromAnother(t, s))
}

func external(t *testing.T, raw string) func(*httpapi.Options) {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	return func(o *httpapi.Options) { o.External = u }
}

// TestALoginBehindAProxyThatEndsTLS: the cookie is sent over TLS only, and no other host can
// set it, by the scheme of the external URL and by no header.
func TestALoginBehindAProxyThatEndsTLS(t *testing.T) {
	g, secret := loginGuard(access.Admin)
	guarded := func(o *httpapi.Options) { o.Guard = g }
	behind := newEdge(t, newFake(), guarded, external(t, "https://Desk.example.org"))
	const origin = "https://desk.example.org"
	// The proxy passes on another Host.
	host := func(r *http.Request) { r.Host = "broker.service.consul:7480" }
	got := behind.do("POST", "/v1/login", `{"token":"`+secret+`"}`, header("Origin", origin), host)
	if got.status != 204 || len(cookies(got)) != 1 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	c := cookies(got)[0]
	if !c.Secure || c.Name != "__Host-greenroom_login" || c.Path != "/" || c.Domain != "" || !c.HttpOnly {
		t.Errorf("the cookie is %s", c)
	}
	with := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
	if got := behind.do("PUT", "/v1/zones/east", `{"datacenters":["dc1"]}`, with, header("Origin", origin), host); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, other := range []string{"http://desk.example.org", "https://desk.example.org:10107", "https://evil.example"} {
		if got := behind.do("DELETE", "/v1/zones/east", "", with, header("Origin", other), host); got.status != 403 {
			t.Errorf("from %s: %d", other, got.status)
		}
		if got := behind.do("POST", "/v1/login", `{"token":"`+secret+`"}`, header("Origin", other), host); got.status != 403 {
			t.Errorf("a login from %s: %d", other, got.status)
		}
	}
	// A cookie of a host without TLS, which may be another's, counts for nothing.
	planted := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "greenroom_login", Value: c.Value}) }
	if got := behind.do("GET", "/v1/self", "", planted); got.status != 401 {
		t.Errorf("a cookie without its prefix: %d", got.status)
	}
	if got := behind.do("DELETE", "/v1/login", "", with, header("Origin", origin), host); got.status != 204 || cookies(got)[0].MaxAge >= 0 || cookies(got)[0].Name != c.Name {
		t.Errorf("logging out: %d %v", got.status, got.header)
	}
	plain := newEdge(t, newFake(), guarded)
	got = plain.do("POST", "/v1/login", `{"token":"`+secret+`"}`, header("X-Forwarded-Proto", "https"), header("Forwarded", "proto=https"))
	if c := cookies(got)[0]; c.Secure || c.Name != "greenroom_login" {
		t.Errorf("a header made the cookie %s", c)
	}
}
