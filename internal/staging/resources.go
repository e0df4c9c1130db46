package staging

import (
	"slices"
	"strings"
)

// Resources is a snapshot of everything that operators configured. It is shared, so treat
// it as read-only.
type Resources struct {
	Zones   map[string]Zone
	Images  map[string]Image
	Groups  map[string]Group
	Configs map[string]Config
	// Webhooks send events to receivers of the operator's.
	Webhooks map[string]Webhook
	// Index is the registry's index of the snapshot; a higher one is newer.
	Index uint64
	// Unreadable has the stored resources that cannot be read, by key. One whose last
	// readable value is known is in the maps, too, with that value.
	Unreadable map[string]UnreadableResource
	// Versions are those of the stored resources, readable or not.
	Versions map[ResourceKey]uint64
	// Pauses are what administrators paused, and Orders what they ordered for pools, by the
	// staging config's name.
	Pauses map[PauseTarget]Pause
	Orders map[string]PoolOrders
}

// Pools returns the staging configs of an image in a zone, sorted by name.
func (r Resources) Pools(zone, image string) []Config {
	var found []Config
	for _, c := range r.Configs {
		if c.Zone == zone && c.Image == image {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// ConfigsOf returns the sorted names of the staging configs for which match is true.
func (r Resources) ConfigsOf(match func(Config) bool) []string {
	var names []string
	for name, c := range r.Configs {
		if match(c) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
