package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// goes opens an address of the page, such as "#/sessions/gr-1".
func (p *tab) goes(address string) {
	p.t.Helper()
	eval[string](p, "location.hash = %s", address)
}

// wordy is a quick image whose sessions keep a log, and open at an address of theirs.
func wordy(name string) staging.Image {
	image := quickImage(name)
	image.Jobspec = strings.Replace(image.Jobspec, "disabled      = true", "disabled      = false", 1)
	image.ConnectURL = "http://{address}:{port_http}/"
	return image
}

// TestASessionHasAnAddressOfItsOwn: an administrator launches as a user on the page, and is led
// to the session's address: its fields, its link, its log and its events, which come by
// themselves. Its end is asked about first, and the address then says that it has ended.
func TestASessionHasAnAddressOfItsOwn(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, wordy("addressed"), 1)
	d.untilReady(t, "addressed", 1)
	p := openLoggedIn(t, d)
	p.press("Sessions")
	p.press("Launch")
	p.shows("Launch a session as a user")
	p.fill("Image", "addressed")
	p.fill("Zone", "east")
	p.fill("User id", "u-paula")
	p.fill("User name", "Paula")
	p.fill("URL", "https://example.org/")
	p.pictures("launch")
	p.press("Launch")
	p.shows("Launched in", "a staged session in zone east: served", "Paula", "u-paula", "Revision", "addressed", "Log", "Events")
	id := strings.TrimPrefix(eval[string](p, "location.hash"), "#/sessions/")
	l := d.session(t, id)
	if l.State != "assigned" {
		t.Fatalf("the page is at %q, whose session is %+v", id, l)
	}
	link := eval[map[string]string](p, `(a => a && ({href: a.href, target: a.target, rel: a.rel}))([...document.querySelectorAll('dd a')].find(a => a.target === '_blank'))`)
	if !strings.HasPrefix(link["href"], "http://"+l.Address+":") || !strings.Contains(link["rel"], "noopener") {
		t.Errorf("the session %+v opens by %v", l, link)
	}
	p.shows("demo session: listening on")
	p.fill("Stream", "stdout")
	p.shows("stdout")
	until(t, "its events are listed, and no others", func() (bool, string) {
		list := eval[string](p, "document.querySelector('.events').innerText")
		return strings.Contains(list, "assigned") && strings.Contains(list, "ready"), list
	})
	p.pictures("session-view")

	// A change that somebody else makes appears while the page is open, logged in.
	d.ask(t, "POST", "/v1/sessions/"+id+"/keepalive", nil, 200, nil)
	p.press("End " + id)
	p.shows("End this session?", "Paula loses it at once")
	p.press("Cancel")
	if s := d.session(t, id); s.State != "assigned" {
		t.Fatalf("a session that was not to be ended is %s", s.State)
	}
	d.ask(t, "DELETE", "/v1/sessions/"+id, nil, 204, nil)
	p.shows("This session has ended: ended by request")
	until(t, "the end is among its events", func() (bool, string) {
		list := eval[string](p, "document.querySelector('.events').innerText")
		return strings.Contains(list, "ended"), list
	})
	if p.has("End " + id) {
		t.Error("what has ended can be ended")
	}
	p.pictures("session-ended")

	// What Nomad refuses to place is told with each step that was tried.
	big := wordy("toobig")
	d.zone(t, "nowhere", "dc-none")
	d.store(t, big)
	p.press("Sessions")
	p.press("Launch")
	p.shows("Launch a session as a user")
	p.fill("Image", "toobig")
	p.fill("Zone", "nowhere")
	p.fill("User id", "u-paula")
	p.press("Launch")
	p.shows("a staged session in zone nowhere: skipped", "a session on demand in zone nowhere: failed")
	p.pictures("launch-refused")
	p.fill("User id", strings.Repeat("x", 300))
	p.press("Launch")
	until(t, "the error is at its field", func() (bool, string) { return p.wrong("User id") != "", p.text() })
	p.press("Cancel")
	p.staysLive(3)
}

// TestAnUnknownAddressSaysSo, with a link to where to go on, instead of leading elsewhere.
func TestAnUnknownAddressSaysSo(t *testing.T) {
	d := sharedDev(t)
	p := openLoggedIn(t, d)
	for address, says := range map[string][]string{
		"#/nosuch":           {"Not found", "nothing at #/nosuch", "Go to Staging"},
		"#/zones/east":       {"Not found", "nothing at #/zones/east", "Go to Staging"},
		"#/staging/nosuch":   {"There is no staging config nosuch", "Go to all staging configs"},
		"#/sessions/nosuch":  {"There is no session nosuch", "Go to all sessions"},
		"#/sessions/%E0%A4%": {"There is no session", "Go to all sessions"},
	} {
		p.goes(address)
		p.shows(says...)
		if at := eval[string](p, "location.hash"); at != address {
			t.Errorf("%s leads to %s", address, at)
		}
		if p.has("Edit nosuch") || p.has("End nosuch") {
			t.Errorf("%s has buttons for what is not there", address)
		}
		p.press(says[len(says)-1])
		until(t, "the link leads to a view", func() (bool, string) {
			at := eval[string](p, "location.hash")
			return at == "#/staging" || at == "#/sessions", at
		})
	}
	p.goes("#/nosuch")
	p.shows("nothing at #/nosuch")
	p.pictures("unknown")
}

// TestTokensAreSeenMadeAndRevokedOnThePage by administrators alone. A secret is shown once.
func TestTokensAreSeenMadeAndRevokedOnThePage(t *testing.T) {
	d := sharedDev(t)
	p := openLoggedIn(t, d)
	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	guarded, _ := guardedBroker(t, servers, d)
	p.press("Tokens")
	p.press("New token")
	p.fill("Role", "launcher")
	p.press("Create")
	until(t, "a token without a name is refused at the field", func() (bool, string) { return p.wrong("Name") != "", p.text() })
	p.fill("Name", "made on the page")
	p.fill("Expires in", "48h")
	p.pictures("token-form")
	p.press("Create")
	p.shows("The secret of made on the page", "nobody can show it again", "Copy")
	secret := eval[string](p, "document.getElementById('secret').value")
	p.pictures("token-secret")
	p.press("Copy")
	// A browser lets a script that no person started copy nothing: the text is then selected.
	until(t, "the secret is copied, or selected for it", func() (bool, string) {
		text := p.text()
		selected := eval[bool](p, "(e => e.selectionEnd - e.selectionStart === e.value.length)(document.getElementById('secret'))")
		return strings.Contains(text, "Copied.") || selected && strings.Contains(text, "press Ctrl+C"), text
	})
	p.press("Done")
	key := func() string {
		return eval[string](p, `[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('made on the page'))?.dataset.key ?? ''`)
	}
	until(t, "the token is in the list", func() (bool, string) { return key() != "", p.text() })
	row := p.row(key())
	if row["Role"] != "launcher" || row["Reaches"] != "everything" || !strings.HasPrefix(row["Expires"], "in ") || row["Last used"] != "never" {
		t.Errorf("the token's row is %v", row)
	}
	if strings.Contains(eval[string](p, "document.documentElement.outerHTML"), secret) {
		t.Error("the secret is still in the page")
	}
	p.pictures("tokens")

	// A launcher sees neither tokens nor logs.
	other := openPage(t, guarded)
	other.fill("Token", secret)
	other.press("Log in")
	other.shows("Log out", "launcher", "Live")
	if other.has("Tokens") {
		t.Error("a launcher sees the tokens")
	}
	other.goes("#/tokens")
	other.shows("nothing at #/tokens, or your role does not see it")
	other.goes("#/sessions")
	other.shows("Sessions")
	if other.has("Launch") {
		t.Error("a launcher launches as another user")
	}

	until(t, "the use is shown", func() (bool, string) {
		return strings.HasSuffix(p.row(key())["Last used"], " ago"), fmt.Sprint(p.row(key()))
	})
	p.press("Revoke made on the page")
	p.shows("Revoke this token?", "Whoever uses it is refused at once")
	p.press("Revoke")
	until(t, "the token is gone", func() (bool, string) { return key() == "", p.text() })
	other.shows("An administrator makes one")
}

// TestThePageHoldsTheLongestNames: with the longest names that can be stored (128 characters for
// users and tokens, 43 to 48 for resources), without a place to break them, no view of either page is wider than a desk's
// or a phone's window, every text can be read, and the navigation shows everything.
func TestThePageHoldsTheLongestNames(t *testing.T) {
	d := sharedDev(t)
	long := func(word string, n int) string { return (word + strings.Repeat("x", n))[:n] }
	zone, group, user := long("zone", 43), long("group", 48), long("u", 128)
	d.zone(t, zone, "dc1", func(z *staging.Zone) {
		z.AlternateZones, z.SearchAlternateZones = []string{"east"}, true
	})
	d.group(t, staging.Group{Name: group, Priority: 3})
	image := wordy(long("image", 48))
	image.RestrictToZones = []string{zone, "east"}
	config := long("config", 45)
	d.stage(t, image, 1, func(c *staging.Config) { c.Name, c.Zone = config, zone })
	d.untilReady(t, config, 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", map[string]any{
		"image": image.Name, "zone": zone, "groups": []string{group}, "user": map[string]string{"id": user, "name": long("Name", 128)},
	}, 201, &l)
	var token struct{ Accessor string }
	d.ask(t, "POST", "/v1/tokens", map[string]any{
		"name": long("portal", 128), "role": "launcher", "scope": map[string]any{"images": []string{image.Name}, "zones": []string{zone}, "user_prefix": user},
	}, 201, &token)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/tokens/"+token.Accessor, nil, 204, nil) })

	p := openLoggedIn(t, d)
	for _, view := range []struct {
		name, address, shows string
	}{
		{"staging", "#/staging", config},
		{"pool", "#/staging/" + config, "Last 3 hours"},
		{"sessions", "#/sessions?zone=" + zone, "Namexxxx"},
		{"session", "#/sessions/" + l.ID, "demo session: listening on"},
		{"zones", "#/zones", zone},
		{"images", "#/images", image.Name},
		{"groups", "#/groups", group},
		{"events", "#/events", "assigned"},
		{"tokens", "#/tokens", "portalxxx"},
	} {
		p.goes(view.address)
		p.shows(view.shows)
		for _, width := range []int64{1280, 390} {
			must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 860)))
			if over := eval[int](p, "document.scrollingElement.scrollWidth - innerWidth"); over > 0 {
				t.Errorf("%s is %d pixels wider than %d", view.name, over, width)
			}
			// Text that is cut can be scrolled to where it is code, and nowhere else.
			if cut := eval[[]string](p, `[...document.querySelectorAll('header *, .page *')].filter(e => e.checkVisibility() && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1
				&& getComputedStyle(e).overflowX !== 'visible' && !e.matches('pre, select, input, .unseen')).map(e => e.tagName + '.' + e.className + ' ' + e.innerText.slice(0, 40))`); len(cut) > 0 {
				t.Errorf("%s at %d pixels cuts %q", view.name, width, cut)
			}
			if hidden := eval[[]string](p, `[...document.querySelectorAll('nav[aria-label=Views] a, .who > span, .who button, .live')].filter(e => {
				const r = e.getBoundingClientRect();
				return r.width < 4 || r.left < 0 || r.right > innerWidth;
			}).map(e => e.innerText)`); len(hidden) > 0 {
				t.Errorf("%s at %d pixels hides %q", view.name, width, hidden)
			}
		}
		must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(1280, 860)))
		p.pictures("longest-" + view.name)
	}

	p.open(eval[string](p, "location.origin") + "/")
	p.fill("Your name", user)
	p.press("Continue")
	p.untilCards("Your sessions", l.ID)
	p.untilOffered(image.Name, true)
	p.fits("the users' page")
	p.pictures("longest-users")
}

// TestTwoPoolsOfOneZoneAndImageGetARemarkOnThePage and in greenroom status, which stays well
// for all that.
func TestTwoPoolsOfOneZoneAndImageGetARemarkOnThePage(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("twice"), 1)
	d.ask(t, "PUT", "/v1/staging/twice-more", staging.Config{Zone: "east", Image: "twice", DesiredSessions: 1}, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/staging/twice-more", nil, 204, nil) })
	const remark = "staging configs twice and twice-more stage the same image twice in zone east"
	p := openLoggedIn(t, d)
	p.shows(remark)
	p.pictures("remark")
	out, errs, _ := d.greenroom("", "status")
	if !strings.Contains(out, "remark: "+remark) {
		t.Errorf("greenroom status prints\n%s%s", out, errs)
	}
}
