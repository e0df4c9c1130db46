package staging

import (
	"slices"
	"strings"
)

// Resources is everything an operator configured, as it stood at one moment.
// Treat it as read-only: it is shared.
type Resources struct {
	Zones   map[string]Zone
	Images  map[string]Image
	Groups  map[string]Group
	Configs map[string]Config
	// Index is the registry's; a later one is newer.
	Index uint64
	// Unreadable says, by key, why a stored resource could not be read. It is
	// then missing from the maps.
	Unreadable map[string]string
}

// Pools gives the staging configs of an image in a zone, by name.
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

// ConfigsOf gives the names of the staging configs for which match holds, sorted.
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
