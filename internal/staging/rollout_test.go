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

// TestOutdatedSessions: a staged one by its pool's config, one on demand by what it has itself.
func TestOutdatedSessions(t *testing.T) {
	config := Config{Name: "pool", Zone: "east", Image: "demo", Permissions: Permissions{AllowWebcam: true}}
	r := Resources{
		Zones: map[string]Zone{"east": {Name: "east"}}, Images: map[string]Image{"demo": {Name: "demo", Jobspec: "new"}}, Configs: map[string]Config{"pool": config},
	}
	of := func(image string, p Permissions) Session {
		return Session{Zone: "east", Image: "demo", Revision: Revision(Image{Name: "demo", Jobspec: image}, r.Zones["east"], p), Permits: p.Permits()}
	}
	staged := func(s Session, pool string) Session { s.Staging = pool; return s }
	audio := Permissions{AllowAudio: false}
	foreign := of("old", audio)
	foreign.Permits = "y"
	gone := of("old", audio)
	gone.Image = "deleted"
	for name, c := range map[string]struct {
		s    Session
		want bool
	}{
		"staged, of the config's revision":       {staged(of("new", config.Permissions), "pool"), false},
		"staged, of an older image":              {staged(of("old", config.Permissions), "pool"), true},
		"staged, of other permissions":           {staged(of("new", audio), "pool"), true},
		"staged, and its config was deleted":     {staged(of("old", audio), "gone"), false},
		"on demand, of the image as it is":       {of("new", audio), false},
		"on demand, of an older image":           {of("old", audio), true},
		"on demand, of permissions not readable": {foreign, false},
		"on demand, and its image was deleted":   {gone, false},
		"of no known revision":                   {Session{Zone: "east", Image: "demo", Staging: "pool"}, false},
	} {
		if got := r.Outdated(c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
