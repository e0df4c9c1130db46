package scaler

import (
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// recordedCatalog is what a scaler passed on of each session.
type recordedCatalog struct {
	noCatalog
	shown map[string]staging.Assignment
	last  map[string]string
}

func (c *recordedCatalog) Show(a staging.Assignment) {
	c.shown[a.Session], c.last[a.Session] = a, "show"
}
func (c *recordedCatalog) Keep(session, _ string) { c.last[session] = "keep" }
func (c *recordedCatalog) Gone(session string)    { c.last[session] = "gone" }

// TestWhatTheCatalogShowsOfASession: only of a session that is certainly not assigned is
// the entry removed.
func TestWhatTheCatalogShowsOfASession(t *testing.T) {
	user := &staging.User{ID: "u", Name: "n"}
	for what, c := range map[string]struct {
		change func(*entry)
		want   string
	}{
		"assigned, and its user was read":    {func(e *entry) { e.s.State, e.s.User, e.tagged = staging.Assigned, user, true }, "show"},
		"assigned for a moment":              {func(e *entry) { e.s.State, e.s.User = staging.Assigned, user }, "keep"},
		"claimed":                            {func(e *entry) { e.s.State = staging.Claimed }, "keep"},
		"Redis lost it":                      {func(e *entry) { e.s.State, e.tagged = "", true }, "keep"},
		"Redis calls it ready, its fate not": {func(e *entry) { e.s.State, e.verdict = staging.Ready, staging.VerdictAssigned }, "keep"},
		"on demand, starting":                {func(e *entry) { e.s.State, e.verdict = staging.Starting, staging.VerdictAssigned }, "keep"},
		"its end has begun":                  {func(e *entry) { e.s.State, e.verdict = staging.Ending, staging.VerdictAssigned }, "gone"},
		"it has ended":                       {func(e *entry) { e.s.State, e.tagged, e.s.User = staging.Ended, true, user }, "gone"},
		"a pool's session that is retired":   {func(e *entry) { e.s.State, e.verdict = staging.Retiring, staging.VerdictRetired }, "gone"},
	} {
		catalog := &recordedCatalog{shown: map[string]staging.Assignment{}, last: map[string]string{}}
		s := &Scaler{Parts: Parts{Catalog: catalog}}
		v := poolView(staging.Image{})
		e, p := runs(v, "gr-1"), v.pools["p"]
		e.s.Address, e.s.Ports = "192.0.2.1", map[string]int{"http": 1, "ssh": 2}
		v.setHealth(p, []staging.Health{{Session: "gr-1", AllocID: "a-gr-1", Port: 2, Passing: true}}, noon)
		c.change(e)
		s.showInCatalog(v, e)
		if catalog.last["gr-1"] != c.want {
			t.Errorf("%s: %s, want %s", what, catalog.last["gr-1"], c.want)
		}
		if a := catalog.shown["gr-1"]; c.want == "show" && (a.User != *user || a.AllocID != "a-gr-1" || a.Port != 2 || !a.ChecksKnown || !a.Passing) {
			t.Errorf("%s: it shows %+v", what, a)
		}
	}
}
