package e2e

import (
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestTheUsersPageSaysWhatALaunchWaitsFor, where no node has room for it: on the way to the
// session, and in the list of the user's sessions.
func TestTheUsersPageSaysWhatALaunchWaitsFor(t *testing.T) {
	d := sharedDev(t)
	room := staging.Duration(staging.MaxRoomWait)
	image := quickImage("vast")
	image.Variables["memory"], image.WaitForRoom = "99999999", &room
	d.store(t, image)
	p := watched(t, openBrowser(t, 1280, 860))
	p.open(d.Broker)
	p.fill("Your name", "Vera")
	p.press("Continue")
	p.shows("takes a moment to start")
	launching := p.newTab(func() { p.pressEnter(`[data-key="vast"] a`) })
	launching.shows("Launching vast", "Waiting for room: not enough memory in zone east")
	launching.fits("the steps")
	p.front()
	p.shows("waiting for room", "not enough memory in zone east")
	p.fits("the sessions")
}
