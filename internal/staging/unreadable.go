package staging

import "fmt"

// ResourceKind is a kind of what operators configure.
type ResourceKind string

// The kinds, as they are in Consul's keys without the plural.
const (
	KindZone    ResourceKind = "zone"
	KindImage   ResourceKind = "image"
	KindGroup   ResourceKind = "group"
	KindStaging ResourceKind = "staging"
	KindWebhook ResourceKind = "webhook"
	// KindNone is that of a key under which no resource belongs.
	KindNone ResourceKind = ""
)

// String returns the kind's name in sentences.
func (k ResourceKind) String() string {
	switch k {
	case KindStaging:
		return "staging config"
	case KindNone:
		return "resource"
	}
	return string(k)
}

// UnreadableResource is a stored resource that cannot be read: it is no JSON, is not valid,
// has another name than its key, or was stored by a newer greenroom. It exists, so nothing may treat it as absent.
type UnreadableResource struct {
	// Key is its key in Consul.
	Key  string
	Kind ResourceKind
	Name string
	// Reason names the field that is wrong, where there is one.
	Reason string
	// Kept: the maps of Resources hold its last readable value. Otherwise nothing is known
	// of it, because this process has never read it.
	Kept bool
	// Newer: a newer greenroom stored it, in a layout that this one does not know.
	Newer bool
	// MayBeDefault: its text names the field of the default group, so that it may be that.
	MayBeDefault bool
}

// String says what is wrong, what follows from it, and what to do.
func (u UnreadableResource) String() string {
	follows := "its last readable value applies"
	if !u.Kept {
		follows = "nothing is changed that depends on it"
	}
	if u.Newer {
		return fmt.Sprintf("%s in Consul cannot be read: %s; %s", u.Key, u.Reason, follows)
	}
	return fmt.Sprintf("%s in Consul cannot be read (%s): %s; store %s %s again, or delete the key", u.Key, u.Reason, follows, u.Kind, u.Name)
}

// UnreadableOf returns a resource that cannot be read, by its kind and name.
func (r Resources) UnreadableOf(kind ResourceKind, name string) (u UnreadableResource, found bool) {
	for _, u := range r.Unreadable {
		if u.Kind == kind && u.Name == name {
			return u, true
		}
	}
	return UnreadableResource{}, false
}

// Unknown reports whether a resource exists of which nothing is known: it cannot be read,
// and this process has never read it.
func (r Resources) Unknown(kind ResourceKind, name string) bool {
	u, found := r.UnreadableOf(kind, name)
	return found && !u.Kept
}

// HasZone reports whether a zone exists, readable or not.
func (r Resources) HasZone(name string) bool {
	_, ok := r.Zones[name]
	return ok || r.Unknown(KindZone, name)
}

// ZoneNames returns the names of all zones that exist, readable or not, in no order.
func (r Resources) ZoneNames() []string {
	names := make([]string, 0, len(r.Zones))
	for name := range r.Zones {
		names = append(names, name)
	}
	for _, u := range r.Unreadable {
		if u.Kind == KindZone && !u.Kept {
			names = append(names, u.Name)
		}
	}
	return names
}
