package staging

import "testing"

// TestUpdatedCountsSessionsOfTheCurrentRevision: while the scaler has not seen a revision, no
// session is of it, and numbers that were not read at one moment never lead below none.
func TestUpdatedCountsSessionsOfTheCurrentRevision(t *testing.T) {
	r := Rollout{Revision: "new", Outdated: 3, OutdatedReady: 2}
	for _, tt := range []struct {
		name                  string
		revision              string
		current, ready        int
		updated, updatedReady int
	}{
		{"some are", "new", 5, 4, 2, 2},
		{"a newer revision was stored", "newest", 5, 4, 0, 0},
		{"it was stored again as it was before", "old", 5, 4, 0, 0},
		{"outdated ones were just claimed", "new", 2, 1, 0, 0},
	} {
		if u, ready := r.Updated(tt.revision, tt.current, tt.ready); u != tt.updated || ready != tt.updatedReady {
			t.Errorf("%s: %d of %d updated, %d of %d ready ones", tt.name, u, tt.current, ready, tt.ready)
		}
	}
}

func TestCurrentRevisionNeedsTheZoneAndTheImage(t *testing.T) {
	r := Resources{Zones: map[string]Zone{"east": {Name: "east"}}, Images: map[string]Image{"demo": {Name: "demo"}}}
	c := Config{Zone: "east", Image: "demo", Permissions: Permissions{AllowWebcam: true}}
	if got, want := r.CurrentRevision(c), Revision(r.Images["demo"], r.Zones["east"], c.Permissions); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range []Config{{Zone: "west", Image: "demo"}, {Zone: "east", Image: "other"}} {
		if got := r.CurrentRevision(c); got != "" {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
