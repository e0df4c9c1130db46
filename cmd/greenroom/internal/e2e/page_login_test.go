package e2e

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/issuer/issuertest"
	"github.com/greenroom/greenroom/internal/staging"
)

// balanced is a proxy on loopback in front of several brokers, by which browsers reach them. Of
// each two requests that follow each other, another broker gets the second.
type balanced struct {
	server  *httptest.Server
	brokers []*url.URL
	next    atomic.Int64
}

// startBalanced starts a proxy. Its brokers are set before it is used.
func startBalanced(t *testing.T) *balanced {
	t.Helper()
	b := &balanced{}
	b.server = httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(b.brokers[int(b.next.Add(1))%len(b.brokers)])
		r.SetXForwarded()
	}})
	t.Cleanup(b.server.Close)
	return b
}

// TestOperatorsLogInWithOpenIDConnect: a person opens a view, logs in at the provider, and sees
// the view with live events, until the logout. The login begins at one broker and ends at
// another. One that fails says what to do.
func TestOperatorsLogInWithOpenIDConnect(t *testing.T) {
	c, d := startCluster(t, 1)
	startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 1)
	front, provider := startBalanced(t), issuertest.New(t)
	const secret = "the-secret-of-the-client"
	provider.LogsIn(issuertest.NewKey(t, "k"),
		issuertest.Client{ID: "greenroom-page", Secret: secret, Redirect: httpapi.LoginCallback(front.server.URL)},
		map[string]map[string]any{
			"ada": {"sub": "u-ada", "name": "Ada Lovelace", "realm_access": map[string]any{"roles": []string{"ops"}}},
			"bob": {"sub": "u-bob", "name": "Bob"},
		})
	t.Setenv("GREENROOM_OIDC_CLIENT_SECRET", secret)
	flags := []string{
		"--oidc-issuer", provider.URL(), "--oidc-audience", "greenroom", "--oidc-role-claim", "realm_access.roles", "--oidc-role", "ops=admin",
		"--oidc-client-id", "greenroom-page", "--oidc-provider-name", "Example SSO",
		"--external-url", front.server.URL, "--trusted-proxy", "127.0.0.1", "--log-level", "trace",
	}
	var agents []*agent
	for range 2 {
		guarded, a := guardedBroker(t, c, d, flags...)
		u, err := url.Parse(guarded.Broker)
		must(t, err)
		front.brokers, agents = append(front.brokers, u), append(agents, a)
	}

	guarded := &devProcess{readyFile: d.readyFile}
	guarded.Broker = front.server.URL
	p := openPage(t, guarded)
	p.shows("Log in with Example SSO")
	p.pictures("login-provider")
	must(t, chromedp.Do(p.ctx, chromedp.Navigate(front.server.URL+"/ui/#/zones")))
	signIn := func(user string) {
		t.Helper()
		p.press("Log in with Example SSO")
		p.shows("Sign in to greenroom-page")
		p.fill("User", user)
		p.press("Sign in")
	}

	signIn("mallory")
	p.shows("Example SSO did not let you in", "Ask its administrator")
	p.pictures("login-denied")
	if at := eval[string](p, "location.href"); at != front.server.URL+"/ui/#/zones" {
		t.Errorf("after a login that failed the page is at %s", at)
	}

	signIn("ada")
	p.shows("Ada Lovelace", "admin", "Log out", "Live")
	p.untilRow("east", "Datacenters", "dc1")
	if at := eval[string](p, "location.href"); at != front.server.URL+"/ui/#/zones" {
		t.Errorf("the page is at %s, not where it was asked for", at)
	}
	seen := eval[string](p, "location.href + document.referrer + document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.documentElement.outerHTML")
	d.ask(t, "PUT", "/v1/zones/seen-live", staging.Zone{Name: "seen-live", Datacenters: []string{"dc1"}}, 201, nil)
	p.untilRow("seen-live", "Datacenters", "dc1")
	p.staysLive(1)
	p.keep("logged-in-with-provider")

	p.press("Log out")
	p.shows("Log in with Example SSO")
	if status := eval[int](p, `(() => { const r = new XMLHttpRequest(); r.open('GET', '/v1/self', false); r.send(); return r.status; })()`); status != 401 {
		t.Errorf("who is logged out is answered %d", status)
	}
	// A user without a role has what is the user's own; a token still logs in.
	signIn("bob")
	p.shows("Bob", "user", "Log out")
	if views := eval[string](p, "[...document.querySelectorAll('nav[aria-label=Views] a')].map(a => a.innerText).join(' ')"); views != "Sessions" {
		t.Errorf("a user sees %s", views)
	}
	p.press("Log out")
	p.press("Log in with a token")
	p.fill("Token", "grt_wrong")
	p.press("Log in")
	p.shows("this token is not known")

	secrets := append(provider.Secrets(), secret)
	for _, a := range agents {
		for _, s := range secrets {
			if strings.Contains(a.Log.String(), s) || strings.Contains(seen, s) {
				t.Errorf("a log or the page has %q", s)
			}
		}
	}
	if len(secrets) < 7 {
		t.Errorf("two logins had %d secrets", len(secrets)-1)
	}
}

// TestLogOutStaysInTheSidebar, however long a name is: at the width of a desk and of a phone.
func TestLogOutStaysInTheSidebar(t *testing.T) {
	d := sharedDev(t)
	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	guarded, _ := guardedBroker(t, servers, d)
	accessor, _ := d.token(t, "", "admin")
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/tokens/"+accessor, nil, 204, nil) })
	var long struct{ Accessor, Secret string }
	d.ask(t, "POST", "/v1/tokens", fmt.Sprintf(`{"name":"%s","role":"launcher"}`, strings.Repeat("operators-of-the-night-shift-", 2)), 201, &long)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/tokens/"+long.Accessor, nil, 204, nil) })
	p := openPage(t, guarded)
	p.fill("Token", long.Secret)
	p.press("Log in")
	p.shows("Log out", "launcher", "Live")
	for _, width := range []int64{1280, 390} {
		must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 860)))
		// How far the button reaches out of the sidebar, and the page out of the window.
		out := eval[[]float64](p, `(() => {
			const side = document.querySelector('header').getBoundingClientRect();
			const log = [...document.querySelectorAll('.who button')].find((b) => b.innerText === 'Log out').getBoundingClientRect();
			return [log.right - side.right, side.left - log.left, log.bottom - side.bottom, -log.width + 1, document.documentElement.scrollWidth - innerWidth];
		})()`)
		if slices.Max(out) > 0 {
			t.Errorf("at %d pixels something reaches out: %v (right, left, bottom; no width; the page)", width, out)
		}
		p.keep(fmt.Sprintf("sidebar-%d", width))
	}
}
