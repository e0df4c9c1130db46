package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/greenroom/greenroom/internal/issuer/issuertest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestAnOperatorWorksOnThePage: an invalid config has its error at the field, a valid one
// fills, a launch's user appears, the session is ended, and a new one replaces it. The page
// updates by itself all the time.
func TestAnOperatorWorksOnThePage(t *testing.T) {
	d := sharedDev(t)
	d.store(t, quickImage("paged"))
	p := openLoggedIn(t, d)
	p.shows("Staging", "demo-east", "Live")
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/staging/paged-east", "") })

	p.press("New staging config")
	p.fill("Name", "paged-east")
	p.fill("Zone", "east")
	p.fill("Image", "paged")
	p.fill("Desired sessions", "-1")
	p.fill("Expiration", "soon")
	p.press("Save")
	until(t, "both errors are shown at their fields", func() (bool, string) {
		wrong := []string{p.wrong("Expiration"), p.wrong("Desired sessions")}
		return strings.HasPrefix(wrong[0], "must be a duration") && strings.HasPrefix(wrong[1], "must be between 0 and"), fmt.Sprint(wrong)
	})
	p.fill("Expiration", "24h")
	p.press("Save")
	until(t, "a corrected field does not show its error any more", func() (bool, string) { return p.wrong("Expiration") == "", p.text() })
	p.pictures("form-wrong")
	p.fill("Desired sessions", "2")
	p.press("Save")
	p.untilRow("paged-east", "Ready", "2")
	p.untilRow("paged-east", "Current", "2")

	p.press("New staging config")
	p.fill("Name", "paged-east")
	p.press("Save")
	until(t, "a taken name is refused", func() (bool, string) { return strings.Contains(p.wrong("Name"), "is taken"), p.wrong("Name") })
	p.press("Cancel")
	p.press("Discard")

	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("paged", "east", "<b>alice</b>"), 201, &l)
	until(t, "the plot shows the claim", func() (bool, string) {
		label := eval[string](p, `document.querySelector('tr[data-key="paged-east"] svg')?.getAttribute('aria-label') ?? ''`)
		return strings.Contains(label, " 1 claims, 0 misses"), label
	})
	p.pictures("staging")
	p.press("Sessions")
	p.fill("Image", "paged")
	p.untilRow(l.ID, "User", "<b>alice</b>")
	p.untilRow(l.ID, "State", "assigned")
	p.fill("Origin", "staged")
	p.fill("State", "pending,starting,ready")
	until(t, "sessions without a user are shown without one", func() (bool, string) {
		return p.row(l.ID) == nil && strings.Contains(p.text(), "nobody"), p.text()
	})
	p.press("Clear")
	p.fill("User id", "u-<b>alice</b>")
	until(t, "alice's are shown alone", func() (bool, string) {
		n := eval[int](p, "document.querySelectorAll('tbody tr').length")
		return n == 1 && p.row(l.ID) != nil, p.text()
	})
	p.press("Clear")
	p.pictures("sessions")
	p.press(l.ID)
	p.shows("Nomad allocation")
	p.pictures("session")
	p.press("Sessions")
	p.press("End " + l.ID)
	p.shows("End this session?", "<b>alice</b> loses it at once")
	p.press("Cancel")
	if s := d.session(t, l.ID); s.State != "assigned" {
		t.Fatalf("a session that was not to be ended is %s", s.State)
	}
	p.press("End " + l.ID)
	p.press("End session")
	until(t, "the session is gone from the page", func() (bool, string) { return p.row(l.ID) == nil, fmt.Sprint(p.row(l.ID)) })
	d.untilEnded(t, l.ID)
	p.press("Staging")
	p.untilRow("paged-east", "Ready", "2")

	p.press("paged-east")
	p.shows("Last 3 hours", `"desired_sessions": 2`)
	p.pictures("pool")
	p.press("Events")
	p.shows("assigned", l.ID, "paged-east")
	p.press("ended")
	until(t, "only events of the type are shown", func() (bool, string) {
		kinds := eval[string](p, "[...new Set([...document.querySelectorAll('.events .badge')].map(b => b.innerText))].join()")
		return kinds == "ended", kinds
	})
	p.press("Clear")
	p.shows("assigned")
	p.pictures("events")
	for _, view := range []string{"Zones", "Images", "Groups"} {
		p.press(view)
		p.shows("New " + strings.ToLower(strings.TrimSuffix(view, "s")))
		if view != "Groups" {
			until(t, view+" are listed", func() (bool, string) {
				return eval[int](p, "document.querySelectorAll('tbody tr').length") > 0, p.text()
			})
		}
		p.pictures(strings.ToLower(view))
	}
	p.press("Images")
	p.press("Edit paged")
	p.fill("Jobspec", "job {")
	p.press("Save")
	until(t, "the error of Nomad is shown at the jobspec", func() (bool, string) { return p.wrong("Jobspec") != "", p.text() })
	p.pictures("image-wrong")
	p.press("Cancel")
	p.press("Discard")

	p.press("Staging")
	p.press("Delete paged-east")
	p.press("Delete")
	until(t, "the config is gone from the page", func() (bool, string) { return p.row("paged-east") == nil, p.text() })
	d.ask(t, "GET", "/v1/staging/paged-east", nil, 404, nil)
	// The events, one type of them, all again, the session's, and the streams before both.
	p.staysLive(6)
}

// TestThePageByKeyboard: a group is created, changed and deleted with the keyboard alone, and
// the focus is always visible.
func TestThePageByKeyboard(t *testing.T) {
	d := sharedDev(t)
	p := openLoggedIn(t, d)
	p.shows("demo-east")
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/groups/typed", "") })
	const named = `(e => e === document.body ? "" : (e.ariaLabel ?? e.labels?.[0]?.firstChild?.textContent ?? e.innerText ?? '').trim())(document.activeElement)`
	key := func(keys string, options ...chromedp.KeyOption) {
		t.Helper()
		must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(keys, options...)))
	}
	tabTo := func(name string) {
		t.Helper()
		var met []string
		for range 60 {
			key(kb.Tab)
			on := eval[string](p, named)
			// The focus may be in the browser's own controls for one step.
			if !eval[bool](p, "document.activeElement === document.body") && eval[string](p, "getComputedStyle(document.activeElement).outlineStyle") == "none" {
				t.Errorf("it cannot be seen that %q has the focus", on)
			}
			if on == name {
				return
			}
			met = append(met, on)
		}
		t.Fatalf("Tab never comes to %q: %q", name, met)
	}
	tabTo("Skip to content")
	tabTo("Groups")
	key(kb.Enter)
	p.shows("New group")
	tabTo("New group")
	key(kb.Enter)
	p.shows("Max sessions per user")
	key(kb.Escape)
	until(t, "Escape closes, and the focus is where it was", func() (bool, string) {
		return !eval[bool](p, "Boolean(document.querySelector('dialog'))") && eval[string](p, named) == "New group", eval[string](p, named)
	})
	key(kb.Enter)
	until(t, "the form's first field has the focus", func() (bool, string) { return eval[string](p, named) == "Name", eval[string](p, named) })
	key("typed")
	tabTo("Priority")
	// Tab selects a field's text, and typing replaces it.
	key("0.5")
	key(kb.Enter)
	until(t, "the wrong field has the focus", func() (bool, string) {
		return p.wrong("Priority") != "" && eval[string](p, named) == "Priority", p.text()
	})
	for range 40 {
		key(kb.Tab)
		if on := eval[string](p, named); !eval[bool](p, "document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))") {
			t.Fatalf("the focus left the dialog for %q", on)
		}
	}
	tabTo("Priority")
	key("7")
	key(kb.Enter)
	p.untilRow("typed", "Priority", "7")
	tabTo("Delete typed")
	key(kb.Enter)
	p.shows("Delete the group typed?")
	if on := eval[string](p, named); on != "Cancel" {
		t.Errorf("%q has the focus in a question", on)
	}
	tabTo("Delete")
	key(" ")
	until(t, "the group is gone", func() (bool, string) { return p.row("typed") == nil, p.text() })
	d.ask(t, "GET", "/v1/groups/typed", nil, 404, nil)
	p.staysLive(0)
}

// TestEachRoleOnThePage: a login shows what its role may read, and the buttons of what it may
// do. Scripts cannot read the login. Every broker accepts it, until the logout or until its
// token is revoked.
func TestEachRoleOnThePage(t *testing.T) {
	issuer := issuertest.New(t)
	k := issuertest.NewKey(t, "k")
	issuer.Publishes(k)
	c, d := startCluster(t, 1)
	startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 1)
	guarded, b := guardedBroker(t, c, d, "--oidc-issuer", issuer.URL(), "--oidc-audience", "greenroom")
	admin, errs, err := guarded.greenroom("", "bootstrap")
	if err != nil {
		t.Fatal(err, errs)
	}
	_, launcher := guarded.token(t, admin, "launcher")
	accessor, viewer := guarded.token(t, admin, "viewer")
	user := k.Signs(t, issuer.Claims(nil))
	var l launched
	guarded.ask(t, "POST", "/v1/sessions", `{"image":"mock","zone":"east"}`, 201, &l, bearer(user)...)

	p := openPage(t, guarded)
	p.shows("Log in")
	p.fill("Token", "grt_wrong")
	p.press("Log in")
	p.shows("this token is not known")
	p.pictures("login-wrong")
	login := func(token string) {
		t.Helper()
		p.fill("Token", token)
		p.press("Log in")
		p.shows("Log out")
		if seen := eval[string](p, "document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.documentElement.outerHTML"); strings.Contains(seen, token) || strings.Contains(seen, "greenroom_login") {
			t.Error("scripts can read the token, or the login")
		}
	}
	logout := func() {
		t.Helper()
		p.press("Log out")
		p.shows("An administrator makes one")
		// The browser must hold nothing of the login, not only hide it.
		if status := eval[int](p, `(() => { const r = new XMLHttpRequest(); r.open('GET', '/v1/self', false); r.send(); return r.status; })()`); status != 401 {
			t.Errorf("who is logged out is answered %d", status)
		}
	}
	for _, who := range []struct {
		role, token          string
		views                string
		edits, ends, follows bool
	}{
		{"admin", admin, "Staging Sessions Zones Images Groups Events Tokens Webhooks", true, true, true},
		{"launcher", launcher, "Staging Sessions Zones Images Groups Events", false, true, true},
		{"viewer", viewer, "Staging Sessions Zones Images Groups Events", false, false, true},
		{"user", user, "Sessions", false, true, false},
	} {
		login(who.token)
		p.shows(who.role)
		if views := eval[string](p, "[...document.querySelectorAll('nav[aria-label=Views] a')].map(a => a.innerText).join(' ')"); views != who.views {
			t.Errorf("%s sees %s", who.role, views)
		}
		if who.follows {
			p.shows("Live")
			// The page opens in the view that the previous login left.
			p.press("Staging")
			p.untilRow("mock", "Ready", "1")
			if p.has("New staging config") != who.edits || p.has("Edit mock") != who.edits || p.has("Delete mock") != who.edits {
				t.Errorf("%s sees the buttons that change something: %v", who.role, !who.edits)
			}
			p.press("Zones")
			p.untilRow("east", "Datacenters", "dc1")
			if p.has("New zone") != who.edits || p.has("Edit east") != who.edits {
				t.Errorf("%s sees the buttons that change a zone: %v", who.role, !who.edits)
			}
			p.press("Sessions")
		}
		p.untilRow(l.ID, "State", "assigned")
		if p.has("End "+l.ID) != who.ends {
			t.Errorf("%s sees the button that ends a session: %v", who.role, !who.ends)
		}
		if who.role == "user" {
			p.press("End " + l.ID)
			p.press("End session")
			until(t, "the user's session is gone", func() (bool, string) { return p.row(l.ID) == nil, p.text() })
		}
		logout()
	}

	login(viewer)
	p.shows("Live")
	if _, errs, err := guarded.greenroom(admin, "token", "revoke", accessor); err != nil {
		t.Fatal(err, errs)
	}
	p.shows("An administrator makes one")
	login(admin)
	p.shows("Live")
	// More sessions than a page has, and then a pool that cannot reach its desired number.
	d.want(t, 60)
	p.press("Sessions")
	p.shows("50 shown", "Next page")
	p.press("Next page")
	p.shows("First page")
	if n := eval[int](p, "document.querySelectorAll('tbody tr').length"); n < 1 || n > 50 {
		t.Errorf("the second page has %d sessions", n)
	}
	p.press("First page")
	p.shows("50 shown")
	disabled := false
	d.ask(t, "PUT", "/v1/images/mock", staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock, Enabled: &disabled}, 200, nil)
	p.press("Staging")
	p.shows("degraded")
	until(t, "the reason for the missing sessions is shown", func() (bool, string) {
		row := p.row("mock")
		return strings.HasPrefix(row["Conditions"], "ImageDisabled "), fmt.Sprint(row)
	})
	p.pictures("conditions")
	b.End(t, syscall.SIGKILL)
	p.shows("Not live: reconnecting", "What is shown may be old: the broker does not answer.")
	p.pictures("away")
}

// TestAPoolsHistoryIsKept: by brokers, and served as the contract has it.
func TestAPoolsHistoryIsKept(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("noted"), 2)
	d.untilReady(t, "noted", 2)
	for range 2 {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("noted", "east", "amy"), 201, &l)
	}
	until(t, "the history has what happened", func() (bool, string) {
		var h struct {
			Now     time.Time
			Minutes []staging.Minute
		}
		d.ask(t, "GET", "/v1/staging/noted/history", nil, 200, &h)
		claims := 0
		for _, m := range h.Minutes {
			claims += m.Claims
		}
		return claims == 2, fmt.Sprintf("%+v", h)
	})
	d.ask(t, "GET", "/v1/staging/nothing/history", nil, 404, nil)
}
