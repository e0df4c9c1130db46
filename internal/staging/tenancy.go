package staging

import (
	"cmp"
	"fmt"
	"slices"
)

// AllowedTo reports whether a user may have the image. groups are the user's, see GroupsOf.
func (i Image) AllowedTo(groups []Group) bool { return allowedTo(i.AllowedGroups, groups) }

// AllowedTo reports whether a user may have sessions in the zone. groups are the user's, see
// GroupsOf.
func (z Zone) AllowedTo(groups []Group) bool { return allowedTo(z.AllowedGroups, groups) }

func allowedTo(allowed []string, groups []Group) bool {
	return len(allowed) == 0 || slices.ContainsFunc(groups, func(g Group) bool { return slices.Contains(allowed, g.Name) })
}

// GroupsOf returns a user's groups by their names, and the names that no group has. A user
// with none of the groups has the default group, if there is one.
func (r Resources) GroupsOf(names []string) (groups []Group, unknown []string) {
	for _, name := range names {
		if g, ok := r.Groups[name]; ok {
			groups = append(groups, g)
		} else {
			unknown = append(unknown, name)
		}
	}
	if len(groups) == 0 {
		if g, ok := r.DefaultGroup(); ok {
			groups = []Group{g}
		}
	}
	return groups, unknown
}

// DefaultGroup returns the group of users who have no other. Only one may be stored; if
// brokers stored several in the same moment, it is the one that Resolve puts first.
func (r Resources) DefaultGroup() (found Group, ok bool) {
	for _, g := range r.Groups {
		if g.Default && (!ok || firstOf(g, found) < 0) {
			found, ok = g, true
		}
	}
	return found, ok
}

// firstOf orders groups as Resolve does: the lowest priority number first, then by name.
func firstOf(a, b Group) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
}

// HasGroup reports whether a group exists, readable or not.
func (r Resources) HasGroup(name string) bool {
	_, ok := r.Groups[name]
	return ok || r.Unknown(KindGroup, name)
}

// GroupNames returns the names of groups, in their order.
func GroupNames(groups []Group) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	return names
}

// allowedGroups checks the groups that may have an image or a zone. It does not check that
// they exist.
func (p *problems) allowedGroups(allowed []string) {
	for i, name := range allowed {
		at := fmt.Sprintf("allowed_groups[%d]", i)
		p.name(at, name)
		if slices.Contains(allowed[:i], name) {
			p.add(at, "is listed twice")
		}
	}
}
