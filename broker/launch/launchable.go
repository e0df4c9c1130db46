package launch

import (
	"context"
	"maps"
	"slices"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Launchable is an image that a user may have, and the zones in which.
type Launchable struct {
	Image string
	// Zones are the names of the zones, sorted; at least one.
	Zones []string
	// OpensURLs: the image has a go hook, so that the session that a user has can be shown a URL.
	OpensURLs bool
}

// For is for whom launches are listed.
type For struct {
	// Groups are the names of the user's groups.
	Groups []string
	// GroupsOfProvider: as in Request.
	GroupsOfProvider bool
	// Scope bounds the images and zones; the zero value does not.
	Scope access.Scope
}

// Launchable lists what a launch would not refuse for the user's groups, by image. Whether there
// is room is another question. Errors are a *staging.InvalidError or a *refusal.Error.
func (b *Launcher) Launchable(_ context.Context, who For) ([]Launchable, error) {
	res := b.Resources.Resources()
	groups, unknown := res.GroupsOf(who.Groups)
	if len(groups) == 0 {
		if err := refusal.UnreadableDefault(res); err != nil {
			return nil, err
		}
	}
	if len(unknown) > 0 && !who.GroupsOfProvider {
		return nil, unknownGroup(who.Groups, unknown[0])
	}
	var all []Launchable
	zones := slices.Sorted(maps.Keys(res.Zones))
	for _, name := range slices.Sorted(maps.Keys(res.Images)) {
		image := res.Images[name]
		if !image.IsEnabled() || !mayHaveImage(who.Scope, image, groups) {
			continue
		}
		l := Launchable{Image: name, OpensURLs: image.ExecConfig.Go != nil}
		for _, zone := range zones {
			if image.AllowedIn(zone) && mayHaveZone(who.Scope, res.Zones[zone], groups) {
				l.Zones = append(l.Zones, zone)
			}
		}
		if len(l.Zones) > 0 {
			all = append(all, l)
		}
	}
	return all, nil
}

// mayHaveImage reports whether a user of the groups may have an image, by a caller with a scope.
func mayHaveImage(scope access.Scope, image staging.Image, groups []staging.Group) bool {
	return scope.AllowsImage(image.Name) && image.AllowedTo(groups)
}

// mayHaveZone is mayHaveImage for a zone.
func mayHaveZone(scope access.Scope, zone staging.Zone, groups []staging.Group) bool {
	return scope.AllowsZone(zone.Name) && zone.AllowedTo(groups)
}
