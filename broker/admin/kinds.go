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
		check: func(ctx context.Context, z staging.Zone, read, stored reader) error {
			return staging.AllInvalid(
				z.Validate(),
				services.fitZone(ctx, stored, z.Name),
				groupsExist(ctx, fmt.Sprintf("zone %q", z.Name), z.AllowedGroups, read),
				ownRegion(ctx, fleet, z),
			)
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
		check: func(ctx context.Context, i staging.Image, read, _ reader) error {
			wrong := i.Validate()
			return staging.AllInvalid(
				wrong,
				zonesExist(ctx, i, read),
				groupsExist(ctx, fmt.Sprintf("image %q", i.Name), i.AllowedGroups, read),
				acceptedByNomad(ctx, fleet, i, wrong),
			)
		},
		usedBy: inConfigs(func(c staging.Config, name string) bool { return c.Image == name }),
		put:    r.PutImage, remove: r.DeleteImage,
	}
}

// zonesExist refuses an image that is restricted to a zone that does not exist: most
// likely a typing error, which would keep the image from ever running.
func zonesExist(ctx context.Context, i staging.Image, read reader) error {
	return allExist(ctx, fmt.Sprintf("image %q", i.Name), "restrict_to_zones", "zone", i.RestrictToZones, staging.Resources.HasZone, read)
}

// groupsExist refuses an image or a zone that allows a group which does not exist: a
// group that is created later, for other users, would let them in.
func groupsExist(ctx context.Context, what string, allowed []string, read reader) error {
	return allExist(ctx, what, "allowed_groups", "group", allowed, staging.Resources.HasGroup, read)
}

// allExist refuses a list of names in which some do not exist, and names each.
func allExist(ctx context.Context, what, field, kind string, names []string, has func(staging.Resources, string) bool, read reader) error {
	if len(names) == 0 {
		return nil
	}
	res, err := read(ctx)
	if err != nil {
		return err
	}
	var unknown []error
	for n, name := range names {
		if !has(res, name) {
			unknown = append(unknown, staging.Invalid(what, fmt.Sprintf("%s[%d]", field, n), "is unknown: there is no %s %q; create it first", kind, name))
		}
	}
	return staging.AllInvalid(unknown...)
}

// acceptedByNomad returns what Nomad does not accept in an image, without what is known to be
// wrong with it already.
func acceptedByNomad(ctx context.Context, fleet Fleet, i staging.Image, wrong error) error {
	i, ok := without(i, wrong)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	err := fleet.Check(ctx, i)
	var invalid *staging.InvalidError
	if err == nil || errors.As(err, &invalid) {
		return err
	}
	return refusal.NoNomad(err)
}

// without returns an image without those of its settings that are wrong, so that Nomad judges
// only the others; ok is false if its jobspec is.
func without(i staging.Image, wrong error) (rest staging.Image, ok bool) {
	var invalid *staging.InvalidError
	if !errors.As(wrong, &invalid) {
		return i, true
	}
	i.Variables = maps.Clone(i.Variables)
	for _, f := range invalid.Fields {
		name, isVariable := strings.CutPrefix(f.Field, "variables.")
		switch {
		case f.Field == "jobspec":
			return i, false
		case f.Field == "name":
			i.Name = "image"
		case isVariable:
			delete(i.Variables, name)
		case strings.HasPrefix(f.Field, "volume_mappings"):
			i.VolumeMappings = nil
		case f.Field == "persistent_profile_path":
			i.PersistentProfilePath = ""
		}
	}
	return i, true
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
		check: func(ctx context.Context, g staging.Group, read, _ reader) error {
			return staging.AllInvalid(g.Validate(), onlyDefault(ctx, g, read))
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
		check: func(ctx context.Context, c staging.Config, read, stored reader) error {
			return staging.AllInvalid(
				c.Validate(limits),
				services.fitConfig(ctx, stored, c.Name),
				stageable(ctx, c, read),
			)
		},
		put: r.PutConfig, remove: r.DeleteConfig,
	}
}

// stageable refuses a staging config if its zone and image cannot be staged together.
func stageable(ctx context.Context, c staging.Config, read reader) error {
	res, err := read(ctx)
	if err != nil {
		return err
	}
	return staging.AllInvalid(zoneStages(c, res), imageStages(c, res))
}

func zoneStages(c staging.Config, res staging.Resources) error {
	what := fmt.Sprintf("staging config %q", c.Name)
	if err := refusal.Unreadable(res, staging.KindZone, c.Zone); err != nil {
		return err
	}
	zone, ok := res.Zones[c.Zone]
	if !ok {
		return staging.Invalid(what, "zone", "is unknown: there is no zone %q; create it first", c.Zone)
	}
	if why := zone.WhyNotStageable(); why != "" {
		return staging.Invalid(what, "zone", "cannot stage: %s", why)
	}
	return nil
}

func imageStages(c staging.Config, res staging.Resources) error {
	what := fmt.Sprintf("staging config %q", c.Name)
	if err := refusal.Unreadable(res, staging.KindImage, c.Image); err != nil {
		return err
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
