package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAUserExtendsASessionOnTheUsersPage: the warning of its end has a button, until no more is left.
func TestAUserExtendsASessionOnTheUsersPage(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("prolonged"), 1)
	d.untilReady(t, "prolonged", 1)
	d.group(t, staging.Group{Name: "generous", SessionTimeLimit: staging.Duration(3 * time.Minute), MaxExtension: staging.Duration(time.Minute)})
	body := map[string]any{"image": "prolonged", "zone": "east", "user": map[string]string{"id": "Edda", "name": "Edda"}, "groups": []string{"generous"}}
	var l launched
	d.ask(t, "POST", "/v1/sessions", body, 201, &l)
	p := watched(t, openBrowser(t, 1280, 860))
	p.open(d.Broker)
	p.fill("Your name", "Edda")
	p.press("Continue")
	warning := func() string { return eval[string](p, `document.querySelector('[role=alert] li')?.innerText ?? ''`) }
	until(t, "the warning offers to extend it", func() (bool, string) {
		return strings.Contains(warning(), "Extend it, or save your work.") && strings.Contains(warning(), "Extend to "), warning()
	})
	p.fits("the warning")
	p.press("Extend prolonged")
	until(t, "it is extended by all that is left", func() (bool, string) {
		var s struct {
			Terms struct{ Extended string }
			Until time.Time `json:"extendable_until"`
		}
		r := d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &s)
		return s.Terms.Extended == "1m0s" && s.Until.IsZero(), string(r.body)
	})
	until(t, "the warning offers no more", func() (bool, string) {
		return strings.Contains(warning(), "Save your work.") && !strings.Contains(warning(), "Extend"), warning()
	})
}
