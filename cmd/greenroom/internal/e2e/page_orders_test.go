package e2e

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAPoolsOrdersOnThePage: an administrator pauses, resumes, recycles and retries a pool on its
// page, which shows who paused it and how its last session failed.
func TestAPoolsOrdersOnThePage(t *testing.T) {
	d := sharedDev(t)
	image, _ := crashingImage(t, "ordered")
	d.stage(t, image, 1, func(c *staging.Config) { c.Update = staging.UpdateImmediate })
	p := openLoggedIn(t, d)
	p.goes("#/staging/ordered")
	p.shows("Last failure", "reading /etc/display\nno such display: :7", "What Nomad noted", "session: Terminated: Exit Code: 3", `"update": "immediate"`)
	p.pictures("pool-failing")
	p.press("Pause ordered")
	p.shows("Pool ordered is paused", "Paused by token:")
	d.untilCondition(t, "ordered", staging.Paused, "staging config ordered paused by token:")
	p.pictures("pool-paused")
	p.press("Resume ordered")
	p.shows("Pool ordered is resumed")
	until(t, "it is not paused on the page", func() (bool, string) { return !strings.Contains(p.text(), "Paused by"), p.text() })
	p.press("Recycle ordered")
	p.shows("Recycle ordered?", "Users’ sessions stay")
	p.press("Recycle")
	p.shows("Recycled by token:")
	p.press("Retry ordered")
	p.shows("Pool ordered is tried again now")
}
