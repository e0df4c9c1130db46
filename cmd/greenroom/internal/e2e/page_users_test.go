package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/issuer/issuertest"
	"github.com/greenroom/greenroom/internal/staging"
)

// open leads the tab to an address.
func (p *tab) open(address string) {
	p.t.Helper()
	must(p.t, chromedp.Do(p.ctx, chromedp.Navigate(address)))
}

// atSession matches where a gateway has a session by its path.
var atSession = regexp.MustCompile(`^(http://[^/]+)/s/(gr-[a-z0-9]+)/$`)

// inSession waits until the tab is in a session at the gateway, whose page has all the words, and
// returns the session's id.
func (p *tab) inSession(gateway string, words ...string) (id string) {
	p.t.Helper()
	until(p.t, "the tab is in a session", func() (bool, string) {
		at, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.href"))
		m := atSession.FindStringSubmatch(at)
		if m == nil {
			return false, fmt.Sprint(at, err, p.text())
		}
		id = m[2]
		return m[1] == gateway, at
	})
	p.shows(words...)
	return id
}

// newTab does something that opens a new tab, and returns that.
func (p *tab) newTab(do func()) *tab {
	p.t.Helper()
	pages := func() (ids []target.ID) {
		all, err := chromedp.Targets(p.ctx)
		must(p.t, err)
		for _, info := range all {
			if info.Type == "page" {
				ids = append(ids, info.TargetID)
			}
		}
		return ids
	}
	before := pages()
	do()
	var fresh target.ID
	until(p.t, "a new tab opens", func() (bool, string) {
		now := pages()
		i := slices.IndexFunc(now, func(id target.ID) bool { return !slices.Contains(before, id) })
		if i >= 0 {
			fresh = now[i]
		}
		return i >= 0, fmt.Sprint(now)
	})
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithTargetID(fresh))
	p.t.Cleanup(cancel)
	return watched(p.t, ctx)
}

// front has the tab looked at, as before another one was opened.
func (p *tab) front() {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, page.BringToFront, cdp.Empty{})
	must(p.t, err)
}

// pressEnter presses Enter on the first control that a selector finds, as who works by the keyboard.
func (p *tab) pressEnter(selector string) {
	p.t.Helper()
	until(p.t, "there is "+selector, func() (bool, string) {
		return eval[bool](p, `(e => Boolean(e && (e.focus(), document.activeElement === e)))(document.querySelector(%s))`, selector), p.text()
	})
	must(p.t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Enter)))
}

// cards returns the keys of the cards that a list of the users' page has.
func (p *tab) cards(list string) []string {
	p.t.Helper()
	return eval[[]string](p, `[...document.querySelectorAll('ul[aria-label="' + %s + '"] > li')].map(c => c.dataset.key)`, list)
}

// untilCards waits until a list of the users' page has the cards.
func (p *tab) untilCards(list string, keys ...string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s has %q", list, keys), func() (bool, string) {
		got := p.cards(list)
		return slices.Equal(got, keys), fmt.Sprintf("%q %s", got, p.text())
	})
}

// untilOffered waits until an image is among those to launch, or is not.
func (p *tab) untilOffered(image string, is bool) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s is among the images: %v", image, is), func() (bool, string) {
		got := p.cards("Images")
		return len(got) > 0 && slices.Contains(got, image) == is, fmt.Sprintf("%q %s", got, p.text())
	})
}

// fits requires that nothing is wider than a desk's or a phone's window, and that no text is cut.
func (p *tab) fits(name string) {
	p.t.Helper()
	for _, width := range []int64{1280, 390} {
		must(p.t, chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 860)))
		if over := eval[int](p, "document.scrollingElement.scrollWidth - innerWidth"); over > 0 {
			p.t.Errorf("%s is %d pixels wider than %d", name, over, width)
		}
		if out := eval[[]string](p, `[...document.querySelectorAll('header *, main *')].filter(e => {
			const r = e.getBoundingClientRect();
			return e.checkVisibility() && !e.matches('.unseen, .unseen *') && r.width > 0 && (r.left < 0 || r.right > innerWidth + 0.5);
		}).map(e => e.tagName + '.' + e.className + ' ' + e.innerText.slice(0, 40))`); len(out) > 0 {
			p.t.Errorf("%s at %d pixels reaches out by %q", name, width, out)
		}
	}
	must(p.t, chromedp.Do(p.ctx, chromedp.EmulateViewport(1280, 860)))
}

// TestAUserLaunchesOpensAndEndsOnTheUsersPage: a link on another site's page leads through the
// login into a session, and again into the same. On the page the user sees what the user's groups
// may have, and nothing else; a further session opens in a new tab, by the keyboard; one is opened
// again, and one is ended after a question.
func TestAUserLaunchesOpensAndEndsOnTheUsersPage(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	front, provider := startBalanced(t), issuertest.New(t)
	const secret = "the-secret-of-the-client"
	provider.LogsIn(issuertest.NewKey(t, "k"),
		issuertest.Client{ID: "greenroom-page", Secret: secret, Redirect: httpapi.LoginCallback(front.server.URL)},
		map[string]map[string]any{
			"ada":   {"sub": "u-ada", "name": "Ada Lovelace"},
			"grace": {"sub": "u-grace", "name": "Grace", "groups": []string{"navy"}},
		})
	t.Setenv("GREENROOM_OIDC_CLIENT_SECRET", secret)
	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	guarded, _ := guardedBroker(t, servers, d, "--oidc-issuer", provider.URL(), "--oidc-audience", "greenroom", "--oidc-groups-claim", "groups",
		"--oidc-client-id", "greenroom-page", "--oidc-provider-name", "Example SSO", "--external-url", front.server.URL, "--trusted-proxy", "127.0.0.1",
		"--gateway-url", d.Gateway)
	u, err := url.Parse(guarded.Broker)
	must(t, err)
	front.brokers = append(front.brokers, u)
	d.ask(t, "PUT", "/v1/groups/navy", staging.Group{Name: "navy"}, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/groups/navy", nil, 204, nil) })
	bridge := quickImage("bridge")
	bridge.AllowedGroups = []string{"navy"}
	d.store(t, bridge)

	p := watched(t, openBrowser(t, 1280, 860))
	signIn := func(user string) {
		t.Helper()
		p.press("Log in with Example SSO")
		p.shows("Sign in to greenroom-page")
		p.fill("User", user)
		p.press("Sign in")
	}
	link := front.server.URL + "/launch/demo?url=" + url.QueryEscape("https://example.org/?q=a b#c")
	// A portal's page, on another site, holds the link.
	portal := serve(t, `<a href="`+link+`">Your desktop</a>`)
	p.open(portal)
	p.press("Your desktop")
	signIn("mallory")
	p.shows("Example SSO did not let you in")
	if at := eval[string](p, "location.href"); at != front.server.URL+"/" {
		t.Errorf("after a login that failed the page is at %s", at)
	}
	signIn("ada")
	first := p.inSession(d.Gateway, "Ada Lovelace", "https://example.org/?q=a b#c")
	if s := d.session(t, first); s.User.ID != "u-ada" {
		t.Errorf("the session is %s's", s.User.ID)
	}
	p.open(portal)
	p.press("Your desktop")
	if again := p.inSession(d.Gateway, "Ada Lovelace"); again != first {
		t.Errorf("the second launch led to %s instead of %s", again, first)
	}

	p.open(front.server.URL)
	p.shows("Ada Lovelace", "Log out", "Your sessions", "running")
	p.untilOffered("demo", true)
	p.untilOffered("bridge", false)
	p.untilCards("Your sessions", first)
	if strings.Contains(p.text(), "bridge") || p.has("Operators’ page") || p.has("Change name") {
		t.Errorf("a user sees what is not for users: %s", p.text())
	}
	p.fits("the users' page")
	p.pictures("users")
	fresh := p.newTab(func() { p.pressEnter(`[data-key="demo"] a`) })
	second := fresh.inSession(d.Gateway, "Ada Lovelace")
	if second == first {
		t.Error("Launch led to the session that the user has")
	}
	p.front()
	p.untilCards("Your sessions", second, first)
	again := p.newTab(func() { p.pressEnter(`[data-key="` + first + `"] a`) })
	if id := again.inSession(d.Gateway, "Ada Lovelace"); id != first {
		t.Errorf("Open led to %s instead of %s", id, first)
	}

	p.front()
	p.pressEnter(`[data-key="` + second + `"] button`)
	p.shows("End this session?", "it ends at once")
	p.pictures("users-end")
	must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Escape)))
	until(t, "Escape closes the question, and the focus is where it was", func() (bool, string) {
		return eval[bool](p, `!document.querySelector('dialog') && document.activeElement?.closest('li')?.dataset.key === %s`, second), p.text()
	})
	if s := d.session(t, second); s.State != "assigned" {
		t.Fatalf("a session that was not to be ended is %s", s.State)
	}
	p.pressEnter(`[data-key="` + second + `"] button`)
	p.press("End session")
	p.untilCards("Your sessions", first)
	d.untilEnded(t, second)
	fresh.open(d.Gateway + "/s/" + second + "/")
	fresh.shows("This session has ended", "Launch a new one")

	p.press("Log out")
	signIn("grace")
	p.shows("Grace")
	p.untilOffered("bridge", true)
	p.untilCards("Your sessions")
	p.open(front.server.URL + "/open/" + first)
	p.shows("You have no session " + first)
	d.ask(t, "DELETE", "/v1/sessions/"+first, nil, 204, nil)
}

// serve serves one page on another site than the tests' servers, and returns its address.
func serve(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// TestALaunchLinkDoesNoHarm where access is open and a name says who the user is: whatever a
// stranger puts into the link, or wherever it stands, it gives the user one session of the image. A
// name is text. What there is not says so.
func TestALaunchLinkDoesNoHarm(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	const name = `<img src=x onerror="alert(1)">`
	p := watched(t, openBrowser(t, 1280, 860))
	p.open(d.Broker + "/launch/demo")
	p.shows("Who are you?")
	p.pictures("users-name")
	p.press("Continue")
	p.shows("Enter a name.")
	p.fill("Your name", name)
	// Two tabs begin at once: both get the same session.
	ctx, cancel := chromedp.NewContext(p.ctx)
	defer cancel()
	other := watched(t, ctx)
	p.press("Continue")
	other.open(d.Broker + "/launch/demo")
	id, same := p.inSession(d.Gateway, name), other.inSession(d.Gateway, name)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil) })
	mine := func() (ids []string) {
		t.Helper()
		var list struct{ Items []launched }
		d.ask(t, "GET", "/v1/sessions?user="+url.QueryEscape(name), nil, 200, &list)
		for _, s := range list.Items {
			ids = append(ids, s.ID)
		}
		return ids
	}
	if ids := mine(); same != id || len(ids) != 1 {
		t.Errorf("the tabs are in %s and %s, of %q", id, same, ids)
	}
	for what, link := range map[string]string{
		"a session more, for which this page did not ask": "/launch/demo#another=0123456789abcdef0123456789abcdef",
		"another zone": "/launch/demo?zone=west",
	} {
		p.open(d.Broker + link)
		if at := p.inSession(d.Gateway, name); at != id {
			t.Errorf("%s: %s", what, at)
		}
	}
	for link, words := range map[string]string{
		"/launch/demo?url=javascript:alert(1)": "The url must not be a javascript: URL",
		"/launch/demo?url=nowhere":             "The url must be an absolute URL",
		"/launch/nothing":                      "There is no image nothing, or you may not have it.",
		"/open/gr-nothing":                     "You have no session gr-nothing",
		"/lanch":                               "There is nothing at /lanch.",
		"/launch/a/b":                          "There is nothing at /launch/a/b.",
	} {
		p.open(d.Broker + link)
		p.shows(words)
		if text := p.text(); strings.Contains(text, "It opens") || strings.Contains(text, "Step ") {
			t.Errorf("%s is refused, and on its way: %s", link, text)
		}
		p.fits(link)
	}
	if ids := mine(); len(ids) != 1 {
		t.Errorf("the links made the sessions %q", ids)
	}
	// No other site's page has the launch page in a frame, where its script would run unseen.
	ctx, cancel = chromedp.NewContext(p.ctx)
	defer cancel()
	framing := watched(t, ctx)
	framing.open(serve(t, `<iframe src="`+d.Broker+`/launch/demo"></iframe>`))
	until(t, "the browser refuses the frame", func() (bool, string) {
		framing.mu.Lock()
		defer framing.mu.Unlock()
		saw := fmt.Sprint(framing.faults)
		refused := slices.ContainsFunc(framing.faults, func(f string) bool { return strings.Contains(f, "frame-ancestors") })
		if refused {
			framing.faults = nil // of the page around it
		}
		return refused, saw
	})

	p.open(d.Broker)
	p.shows(name, "Your sessions")
	p.press("Change name")
	p.fill("Your name", "a stranger")
	p.press("Continue")
	p.shows("a stranger", "Launch")
	p.untilCards("Your sessions")
	p.open(d.Broker + "/open/" + id)
	p.shows("You have no session " + id)
	p.press("Operators’ page")
	p.shows("Staging", "Live")
	p.press("Users’ page")
	p.shows("a stranger")
}

// TestALaunchShowsItsSteps while a session is made on demand, and what stands in the way of one. A
// session that ends soon is warned of. Without a gateway the page says where the session is.
func TestALaunchShowsItsSteps(t *testing.T) {
	d := sharedDev(t)
	slow := quickImage("brief")
	slow.Variables["warmup"], slow.SessionTimeLimit = "25s", staging.Duration(3*time.Minute)
	d.store(t, slow)
	p := watched(t, openBrowser(t, 1280, 860))
	p.open(d.Broker)
	p.fill("Your name", "Stella")
	p.press("Continue")
	p.shows("takes a moment to start")
	launching := p.newTab(func() { p.pressEnter(`[data-key="brief"] a`) })
	launching.shows("Launching brief", "None is ready, so one is made for you.", "Placing", "Starting", "Healthy", "Yours")
	var told []string
	tells := func(what string) {
		t.Helper()
		until(t, "a screen reader is told "+what, func() (bool, string) {
			now := eval[string](launching, `document.querySelector('main [role=status]')?.textContent ?? location.href`)
			if !slices.Contains(told, now) {
				told = append(told, now)
			}
			return strings.Contains(now, what), fmt.Sprintf("%q", told)
		})
	}
	tells("Step 3 of 4: Healthy.")
	launching.shows("Not all of its checks pass yet.")
	launching.fits("the steps")
	launching.pictures("users-launching")
	id := launching.inSession(d.Gateway, "Stella")
	p.front()
	until(t, "the end is warned of", func() (bool, string) {
		warning := eval[string](p, `document.querySelector('[role=alert] li')?.innerText ?? ''`)
		return strings.Contains(warning, "brief ends in ") && strings.Contains(warning, "its time is up. Save your work."), warning + p.text()
	})
	p.pictures("users-warned")
	p.fits("the warning")

	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	alone := startAgent(t, servers, "broker")
	p.open("http://" + alone.Address + "/open/" + id)
	p.fill("Your name", "Stella")
	p.press("Continue")
	p.shows("brief is yours", "It runs at 127.0.0.1", "No gateway leads browsers to sessions here.")
	p.pictures("users-without-gateway")
	p.fits("without a gateway")

	off := false
	slow.Enabled = &off
	p.open(d.Broker)
	p.untilOffered("brief", true)
	d.ask(t, "PUT", "/v1/images/brief", slow, 200, nil)
	p.untilOffered("brief", false)
}
