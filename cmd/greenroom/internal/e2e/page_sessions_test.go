package e2e

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestThePageListsEndedSessionsWithWhy: by the filter of states, each with when and why, and
// without a button to end it.
func TestThePageListsEndedSessionsWithWhy(t *testing.T) {
	d := sharedDev(t)
	d.store(t, quickImage("overed"))
	l := d.launched(t, "overed", "u-oscar")
	other := d.launched(t, "overed", "u-olga")
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	d.untilEnded(t, l.ID)
	p := openLoggedIn(t, d)
	p.press("Sessions")
	p.shows(other.ID)
	p.fill("State", "ended")
	p.fill("Image", "overed")
	p.shows(l.ID, "Reason", "ended by request", "the last to end first")
	if text := p.text(); strings.Contains(text, other.ID) || p.has("End "+l.ID) {
		t.Errorf("the list of ended sessions:\n%s", text)
	}
	if at := eval[string](p, "location.hash"); !strings.Contains(at, "state=ended") {
		t.Errorf("the list is not at an address of its own: %s", at)
	}
	p.press("Clear")
	p.shows(other.ID, "oldest first")
}

// TestASessionThatWaitsShowsWhatIsInItsPoolsWay: as sessions show does.
func TestASessionThatWaitsShowsWhatIsInItsPoolsWay(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "roomless", "dc-none")
	d.store(t, quickImage("waiting"))
	d.ask(t, "PUT", "/v1/staging/waiting", staging.Config{Zone: "roomless", Image: "waiting", DesiredSessions: 1}, 201, nil)
	t.Cleanup(func() { _, _ = d.call("DELETE", "/v1/staging/waiting", "") })
	var id string
	until(t, "the pool has a session that waits, and says why", func() (bool, string) {
		var pool struct {
			Conditions []staging.Condition `json:"conditions"`
		}
		d.ask(t, "GET", "/v1/staging/waiting", nil, 200, &pool)
		var list struct{ Items []staging.Session }
		d.ask(t, "GET", "/v1/sessions?staging=waiting&state=pending", nil, 200, &list)
		if len(list.Items) > 0 {
			id = list.Items[0].ID
		}
		return id != "" && len(pool.Conditions) > 0, id
	})
	p := openLoggedIn(t, d)
	p.goes("#/sessions/" + id)
	p.shows("pending", "Its pool", "dc-none")
}
