package staging

// Rollout is how far a pool's sessions have been replaced by those of its current revision,
// as a scaler last saw it. It counts the sessions that are left to replace, so that it stays
// the same while sessions come and go and no new revision rolls.
type Rollout struct {
	// Revision is that of the sessions that are made now; see func Revision.
	Revision string `json:"revision"`
	// Outdated are the pool's sessions of other revisions, OutdatedReady those of them that
	// are ready.
	Outdated      int `json:"outdated"`
	OutdatedReady int `json:"outdated_ready"`
}

// Updated returns how many of a pool's current and ready sessions are of a revision. While
// the scaler has not seen that revision, none is.
func (r Rollout) Updated(revision string, current, ready int) (updated, updatedReady int) {
	if r.Revision != revision {
		return 0, 0
	}
	// The numbers and the rollout are not read at the same moment.
	return max(0, current-r.Outdated), max(0, ready-r.OutdatedReady)
}

// CurrentRevision returns the revision of the sessions that a staging config's pool makes
// now; "" if its zone or image does not exist or cannot be read.
func (r Resources) CurrentRevision(c Config) string {
	zone, zoneKnown := r.Zones[c.Zone]
	image, imageKnown := r.Images[c.Image]
	if !zoneKnown || !imageKnown {
		return ""
	}
	return Revision(image, zone, c.Permissions)
}

// Outdated reports whether a session was made from another revision than it would be now: of its
// pool's config, or, for one that was made on demand, of its image, its zone and the permissions
// that it has. One whose config, image or zone was deleted is not: there is no newer revision.
func (r Resources) Outdated(s Session) bool {
	c, ok := r.Configs[s.Staging]
	if s.Staging == "" {
		c = Config{Zone: s.Zone, Image: s.Image}
		c.Permissions, ok = permitted(s.Permits)
	}
	if !ok || s.Revision == "" {
		return false
	}
	now := r.CurrentRevision(c)
	return now != "" && now != s.Revision
}
