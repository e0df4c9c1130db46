package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// tab is the operators' page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	mu  sync.Mutex
	// faults are requests that the page's policy blocked, and errors of the page's scripts.
	faults []string
}

// openPage opens a broker's operators' page. The test fails if there were faults at its end.
func openPage(t *testing.T, d *devProcess) *tab {
	t.Helper()
	p := watched(t, openBrowser(t, 1280, 860))
	must(t, chromedp.Do(p.ctx, chromedp.Navigate(d.Broker+"/ui/")))
	return p
}

// watched returns a tab, which the test watches for faults until its end.
func watched(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, 10*time.Minute)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	must(t, chromedp.Listen(ctx, func(ev any) {
		fault := ""
		switch ev := ev.(type) {
		case *browserlog.EventEntryAdded:
			if string(ev.Entry.Source) == "security" || strings.Contains(ev.Entry.Text, "Content Security Policy") {
				fault = ev.Entry.Text
			}
		case *runtime.EventExceptionThrown:
			if fault = ev.ExceptionDetails.Text; ev.ExceptionDetails.Exception != nil {
				fault += ": " + ev.ExceptionDetails.Exception.Description
			}
		}
		if fault != "" {
			p.mu.Lock()
			p.faults = append(p.faults, fault)
			p.mu.Unlock()
		}
	}))
	_, err := chromedp.Call(ctx, browserlog.Enable, cdp.Empty{})
	must(t, err)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, f := range p.faults {
			t.Errorf("in the page: %s", f)
		}
	})
	return p
}

// openLoggedIn opens the page of a guarded broker on d's servers, and logs in as an
// administrator, as operators do.
func openLoggedIn(t *testing.T, d *devProcess) *tab {
	t.Helper()
	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	guarded, _ := guardedBroker(t, servers, d)
	accessor, admin := d.token(t, "", "admin")
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/tokens/"+accessor, nil, 204, nil) })
	p := openPage(t, guarded)
	p.fill("Token", admin)
	p.press("Log in")
	p.shows("Log out", "Live")
	return p
}

// staysLive requires that the page is live, and has kept its streams of events: the browser
// notes each that ended. The page itself ends those of views that it leaves, at most so many.
// One more may end on a machine that is too busy.
func (p *tab) staysLive(left int) {
	p.t.Helper()
	p.shows("Live")
	if n := eval[int](p, `performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/events')).length`); n > left+1 {
		p.t.Errorf("%d streams of events ended, and the page left %d of them", n, left)
	}
}

// eval runs a script in the page and returns its value.
func eval[T any](p *tab, script string, args ...any) T {
	p.t.Helper()
	quoted := make([]any, len(args))
	for i, a := range args {
		j, err := json.Marshal(a)
		must(p.t, err)
		quoted[i] = string(j)
	}
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](fmt.Sprintf(script, quoted...)))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (p *tab) text() string {
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// shows waits until the page shows all the words.
func (p *tab) shows(words ...string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("the page shows %q", words), func() (bool, string) {
		text := p.text()
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false, text
			}
		}
		return true, ""
	})
}

// row returns the cells of a table's row by their labels; nil if there is no such row.
func (p *tab) row(key string) map[string]string {
	p.t.Helper()
	return eval[map[string]string](p, `(r => r && Object.fromEntries([...r.cells].map(c => [c.dataset.label, c.innerText.trim()])))(document.querySelector('tr[data-key="' + %s + '"]'))`, key)
}

// untilRow waits until a row has a text in a cell.
func (p *tab) untilRow(key, label, text string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s of %s is %s", label, key, text), func() (bool, string) {
		row := p.row(key)
		return row != nil && row[label] == text, fmt.Sprint(row, p.text())
	})
}

// controls is a script that finds a control (to press or fill in) by its name, in the dialog
// that was opened last, if one is open.
const controls = `[...([...document.querySelectorAll('dialog[open]')].at(-1) ?? document).querySelectorAll('a, button, input, select, textarea, summary')]
  .filter(e => e.checkVisibility() && (e.ariaLabel ?? e.labels?.[0]?.firstChild?.textContent ?? e.innerText).trim() === %s)[0]`

// has reports whether there is a control of a name.
func (p *tab) has(name string) bool {
	p.t.Helper()
	return eval[bool](p, "Boolean("+controls+")", name)
}

// press presses the control of a name, once it is there.
func (p *tab) press(name string) {
	p.t.Helper()
	until(p.t, "there is "+name+" to press", func() (bool, string) {
		return eval[bool](p, "(e => Boolean(e && !e.disabled && (e.click(), true)))("+controls+")", name), p.text()
	})
}

// fill enters a value into the control of a name, as a user would.
func (p *tab) fill(name, value string) {
	p.t.Helper()
	until(p.t, "there is "+name+" to fill in", func() (bool, string) {
		return eval[bool](p, `(e => Boolean(e && (e.value = %[2]s, e.dispatchEvent(new Event('input', {bubbles: true})), e.dispatchEvent(new Event('change', {bubbles: true})), e.value === %[2]s)))(`+
			strings.ReplaceAll(controls, "%s", "%[1]s")+")", name, value), p.text()
	})
}

// wrong returns the error that is shown at a field.
func (p *tab) wrong(name string) string {
	p.t.Helper()
	return eval[string](p, `(e => e?.getAttribute('aria-invalid') === 'true' ? document.getElementById(e.getAttribute('aria-describedby').split(' ')[0]).innerText : '')(`+controls+")", name)
}

// keep saves a picture of the page for people to look at.
func (p *tab) keep(name string) {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	must(p.t, err)
	must(p.t, keepPicture("page-"+name, png))
}

// pictures saves the page in light, in dark and at a phone's width, at which nothing may be
// wider than the phone.
func (p *tab) pictures(name string) {
	p.t.Helper()
	scheme := func(value string) {
		_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		must(p.t, err)
	}
	scheme("light")
	p.keep(name + "-light")
	scheme("dark")
	p.keep(name + "-dark")
	must(p.t, chromedp.Do(p.ctx, chromedp.EmulateViewport(390, 844)))
	if over := eval[int](p, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		p.t.Errorf("%s is %d pixels wider than a phone", name, over)
	}
	scheme("light")
	p.keep(name + "-phone")
	scheme("dark")
	p.keep(name + "-phone-dark")
	must(p.t, chromedp.Do(p.ctx, chromedp.EmulateViewport(1280, 860)))
	scheme("light")
}
