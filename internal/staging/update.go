package staging

// UpdateMode says how a pool gets from one revision of its image, zone or permissions to the next.
type UpdateMode string

// The modes.
const (
	// UpdateRolling replaces the sessions of an older revision as fresh ones become ready.
	// Launches get either until then. It is what an empty mode stands for.
	UpdateRolling UpdateMode = "rolling"
	// UpdateImmediate assigns no session of an older revision once the newer one is stored, and
	// retires them at once.
	UpdateImmediate UpdateMode = "immediate"
	// UpdateOnReplenish keeps the sessions of an older revision until they are claimed or
	// expire. Only what replaces them is of the newer one.
	UpdateOnReplenish UpdateMode = "on_replenish"
)

// UpdateModes are all of them.
var UpdateModes = []UpdateMode{UpdateRolling, UpdateImmediate, UpdateOnReplenish}

func (p *problems) updateMode(field string, m UpdateMode) {
	switch m {
	case "", UpdateRolling, UpdateImmediate, UpdateOnReplenish:
	default:
		p.add(field, "must be %s, %s or %s, or absent for %s, is %q", UpdateRolling, UpdateImmediate, UpdateOnReplenish, UpdateRolling, string(m))
	}
}

// ResourceVersion is a stored resource as somebody read it.
type ResourceVersion struct {
	ResourceKey
	// Index is the version in Consul.
	Index uint64
}

// ResourceKey names a resource.
type ResourceKey struct {
	Kind ResourceKind
	Name string
}

// MadeOf returns what a session of a pool is made of, as it was read: its staging config, zone
// and image. Without a name the config is left out, for a session on demand.
func (r Resources) MadeOf(c Config) []ResourceVersion {
	keys := []ResourceKey{{KindZone, c.Zone}, {KindImage, c.Image}}
	if c.Name != "" {
		keys = append(keys, ResourceKey{KindStaging, c.Name})
	}
	all := make([]ResourceVersion, len(keys))
	for i, k := range keys {
		all[i] = ResourceVersion{ResourceKey: k, Index: r.Versions[k]}
	}
	return all
}

// OutdatedError says that a resource was changed after it was read, so that nothing was decided.
type OutdatedError struct{ ResourceKey }

// Error implements error.
func (e *OutdatedError) Error() string {
	return e.Kind.String() + " " + e.Name + " was changed meanwhile"
}
