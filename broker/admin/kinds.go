package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

func zoneKind(r Registry, fleet Fleet, services serviceNames) kind[staging.Zone] {
	return kind[staging.Zone]{
		what:     "zone",
		is:       staging.KindZone,
		name:     func(z staging.Zone) string { return z.Name },
		in:       func(r staging.Resources) map[string]staging.Zone { return r.Zones },
		complete: staging.Zone.WithDefaults,
		check: func(ctx context.Context, z staging.Zone, read reader) error {
			if err := z.Validate(); err != nil {
				return err
			}
			if err := services.fitZone(ctx, read, z.Name); err != nil {
				return err
			}
			if err := groupsExist(ctx, fmt.Sprintf("zone %q", z.Name), z.AllowedGroups, read); err != nil {
				return err
			}
			return ownRegion(ctx, fleet, z)
		},
		usedBy: inConfigs(func(c staging.Config, name string) bool { return c.Zone == name }),
		put:    r.PutZone, remove: r.DeleteZone,
	}
}

// ownRegion refuses a zone in another region than that of the broker's Nomad: nothing
// watches the sessions there.
func ownRegion(ctx context.Context, fleet Fleet, z staging.Zone) error {
	if z.Region == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	if err := fleet.Ping(ctx); err != nil {
		return refusal.NoNomad(err)
	}
	own, err := fleet.OwnRegion(ctx, z.Region)
	if err != nil || !own {
		return staging.Invalid("zone", "region",
			"must be the region of this broker's own Nomad, or left out: %q is another, or none; run scalers and brokers of its own there", z.Region)
	}
	return nil
}

// imageKind are the images. Nomad must accept their jobspec.
func imageKind(r Registry, fleet Fleet) kind[staging.Image] {
	return kind[staging.Image]{
		what: "image",
		is:   staging.KindImage,
		name: func(i staging.Image) string { return i.Name },
		in:   func(r staging.Resources) map[string]staging.Image { return r.Images },
		check: func(ctx context.Context, i staging.Image, read reader) error {
			if err := i.Validate(); err != nil {
				return err
			}
			res, err := read(ctx)
			if err != nil {
				return err
			}
			if err := zonesExist(i, res); err != nil {
				return err
			}
			if err := groupsExist(ctx, fmt.Sprintf("image %q", i.Name), i.AllowedGroups, read); err != nil {
				return err
			}
			return acceptedByNomad(ctx, fleet, i)
		},
		usedBy: inConfigs(func(c staging.Config, name string) bool { return c.Image == name }),
		put:    r.PutImage, remove: r.DeleteImage,
	}
}

// zonesExist refuses an image that is restricted to a zone that does not exist: most
// likely a typing error, which would keep the image from ever running.
func zonesExist(i staging.Image, res staging.Resources) error {
	for n, name := range i.RestrictToZones {
		if !res.HasZone(name) {
			return staging.Invalid(fmt.Sprintf("image %q", i.Name), fmt.Sprintf("restrict_to_zones[%d]", n),
				"is unknown: there is no zone %q; create it first", name)
		}
	}
	return nil
}

// groupsExist refuses an image or a zone that allows a group which does not exist: a
// group that is created later, for other users, would let them in.
func groupsExist(ctx context.Context, what string, allowed []string, read reader) error {
	if len(allowed) == 0 {
		return nil
	}
	res, err := read(ctx)
	if err != nil {
		return err
	}
	for n, name := range allowed {
		if !res.HasGroup(name) {
			return staging.Invalid(what, fmt.Sprintf("allowed_groups[%d]", n), "is unknown: there is no group %q; create it first", name)
		}
	}
	return nil
}

func acceptedByNomad(ctx context.Context, fleet Fleet, i staging.Image) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	err := fleet.Check(ctx, i)
	var invalid *staging.InvalidError
	if err == nil || errors.As(err, &invalid) {
		return err
	}
	return refusal.NoNomad(err)
}

// groupKind are the groups. A change counts from the next launch on; a user's sessions
// keep the terms that they were launched with. Launches that name a deleted group are
// refused. A group that an image or a zone allows cannot be deleted.
func groupKind(r Registry) kind[staging.Group] {
	return kind[staging.Group]{
		what: "group",
		is:   staging.KindGroup,
		name: func(g staging.Group) string { return g.Name },
		in:   func(r staging.Resources) map[string]staging.Group { return r.Groups },
		check: func(ctx context.Context, g staging.Group, read reader) error {
			if err := g.Validate(); err != nil {
				return err
			}
			return onlyDefault(ctx, g, read)
		},
		usedBy: allowing,
		put:    r.PutGroup, remove: r.DeleteGroup,
	}
}

// onlyDefault refuses a second default group.
func onlyDefault(ctx context.Context, g staging.Group, read reader) error {
	if !g.Default {
		return nil
	}
	res, err := read(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(res.Groups)) {
		if res.Groups[name].Default && name != g.Name {
			return staging.Invalid(fmt.Sprintf("group %q", g.Name), "default", "is that of group %q already, and only one may be: store that one without it first", name)
		}
	}
	return nil
}

// allowing names the images and zones that allow a group. It must not be deleted: it may be
// created anew, with other users.
func allowing(res staging.Resources, group string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(res.Images)) {
		if slices.Contains(res.Images[name].AllowedGroups, group) {
			all = append(all, fmt.Sprintf("image %q", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(res.Zones)) {
		if slices.Contains(res.Zones[name].AllowedGroups, group) {
			all = append(all, fmt.Sprintf("zone %q", name))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "allowed_groups of " + strings.Join(all, ", ")
}

// inConfigs names the staging configs that name a resource.
func inConfigs(names func(c staging.Config, name string) bool) func(staging.Resources, string) string {
	return func(res staging.Resources, name string) string {
		users := res.ConfigsOf(func(c staging.Config) bool { return names(c, name) })
		if len(users) == 0 {
			return ""
		}
		return "staging config " + strings.Join(users, ", ")
	}
}

// configKind are the staging configs. Their zone and image must exist and be stageable
// together. The scaler fills the pool of a stored one, and drains that of a deleted one;
// sessions that were assigned from it stay.
func configKind(r Registry, limits staging.Limits, services serviceNames) kind[staging.Config] {
	return kind[staging.Config]{
		what: "staging config",
		is:   staging.KindStaging,
		name: func(c staging.Config) string { return c.Name },
		in:   func(r staging.Resources) map[string]staging.Config { return r.Configs },
		check: func(ctx context.Context, c staging.Config, read reader) error {
			if err := c.Validate(limits); err != nil {
				return err
			}
			if err := services.fitConfig(ctx, read, c.Name); err != nil {
				return err
			}
			res, err := read(ctx)
			if err != nil {
				return err
			}
			return stageable(c, res)
		},
		put: r.PutConfig, remove: r.DeleteConfig,
	}
}

// stageable refuses a staging config if its zone and image cannot be staged together.
func stageable(c staging.Config, res staging.Resources) error {
	what := fmt.Sprintf("staging config %q", c.Name)
	for kind, name := range map[staging.ResourceKind]string{staging.KindZone: c.Zone, staging.KindImage: c.Image} {
		if err := refusal.Unreadable(res, kind, name); err != nil {
			return err
		}
	}
	zone, ok := res.Zones[c.Zone]
	if !ok {
		return staging.Invalid(what, "zone", "is unknown: there is no zone %q; create it first", c.Zone)
	}
	if why := zone.WhyNotStageable(); why != "" {
		return staging.Invalid(what, "zone", "cannot stage: %s", why)
	}
	image, ok := res.Images[c.Image]
	if !ok {
		return staging.Invalid(what, "image", "is unknown: there is no image %q; create it first", c.Image)
	}
	if !image.AllowedIn(c.Zone) {
		return staging.Invalid(what, "zone", "is not one that image %s is restricted to: %s", c.Image, strings.Join(image.RestrictToZones, ", "))
	}
	return nil
}
