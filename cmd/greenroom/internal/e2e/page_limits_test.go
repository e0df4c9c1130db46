package e2e

import (
	"fmt"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestTheOperatorsPageHasLimitsAndLabels: they are in the forms and lists, an error is at its
// field, and a session is launched by labels.
func TestTheOperatorsPageHasLimitsAndLabels(t *testing.T) {
	d := sharedDev(t)
	d.store(t, quickImage("tagged"))
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/staging/tagged-east", "") })
	p := openLoggedIn(t, d)
	p.press("Images")
	p.press("Edit tagged")
	p.press("More")
	p.enter("max_sessions", "-1")
	p.enter("max_sessions_per_user", "2")
	p.press("Add label")
	p.fill("Name of label 1", "page tier")
	p.fill("Value of label 1", "gold")
	p.press("Save")
	p.untilWrong("labels.page tier", map[string]string{
		"max_sessions": "must be at least 1", "labels.page tier": "is no key of a label", "labels.page tier.name": "is no key of a label",
	})
	p.enter("max_sessions", "7")
	p.fill("Name of label 1", "page-tier")
	p.press("Save")
	var image staging.Image
	until(t, "the image has them", func() (bool, string) {
		d.ask(t, "GET", "/v1/images/tagged", nil, 200, &image)
		return image.MaxSessions == 7 && image.MaxSessionsPerUser == 2 && image.Labels["page-tier"] == "gold", fmt.Sprintf("%+v", image)
	})
	p.shows("page-tier=gold")

	p.press("Staging")
	p.press("New staging config")
	p.enter("name", "tagged-east")
	p.enter("zone", "east")
	p.enter("image", "tagged")
	p.enter("desired_sessions", "1")
	p.enter("max_sessions", "3")
	p.press("Add label")
	p.fill("Name of label 1", "page-size")
	p.fill("Value of label 1", "small")
	p.press("Save")
	until(t, "the staging config has them", func() (bool, string) {
		r, err := d.call("GET", "/v1/staging/tagged-east", "")
		must(t, err)
		var c struct {
			MaxSessions int `json:"max_sessions"`
			Labels      map[string]string
		}
		if r.status == 200 {
			d.ask(t, "GET", "/v1/staging/tagged-east", nil, 200, &c)
		}
		return c.MaxSessions == 3 && c.Labels["page-size"] == "small", string(r.body)
	})
	d.untilReady(t, "tagged-east", 1)
	p.press("Sessions")
	p.press("Launch")
	p.shows("Launch a session as a user")
	p.fill("Selector", "page-tier=gold,page-size in (small)")
	p.fill("Zone", "east")
	p.fill("User id", "u-labelled")
	p.press("Launch")
	p.shows("staging config tagged-east of image tagged matches page-tier=gold,page-size in (small)")
}
