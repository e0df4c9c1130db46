package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// ResourceSet is resources that are to be stored together.
type ResourceSet struct {
	Zones   []staging.Zone
	Images  []staging.Image
	Groups  []staging.Group
	Configs []staging.Config
}

// Check holds a set to every rule that storing it would, as if all of it were
// stored together, over what is stored already. It stores nothing. A
// *staging.InvalidError has everything that is wrong, each field after its place
// in the set, such as images[1].jobspec; any other error is a server's that
// does not answer.
func (b *Broker) Check(ctx context.Context, set ResourceSet) error {
	res, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	res.Zones, res.Images = maps.Clone(res.Zones), maps.Clone(res.Images)
	for _, z := range set.Zones {
		res.Zones[z.Name] = z.WithDefaults()
	}
	for _, i := range set.Images {
		res.Images[i.Name] = i
	}
	var wrong findings
	for n, z := range set.Zones {
		wrong.add("zones", n, b.checkZone(ctx, z.WithDefaults()))
	}
	for n, i := range set.Images {
		wrong.add("images", n, b.checkImage(ctx, i, res))
	}
	for n, g := range set.Groups {
		wrong.add("groups", n, g.Validate())
	}
	for n, c := range set.Configs {
		wrong.add("staging", n, b.checkConfig(c, res))
	}
	return wrong.err()
}

// findings gathers what is wrong with the parts of a set.
type findings struct {
	fields []staging.FieldError
	// failed is the first error that says nothing about a part.
	failed error
}

func (f *findings) add(list string, n int, err error) {
	var invalid *staging.InvalidError
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		for _, field := range invalid.Fields {
			f.fields = append(f.fields, staging.FieldError{Field: fmt.Sprintf("%s[%d].%s", list, n, field.Field), Message: field.Message})
		}
	case f.failed == nil:
		f.failed = err
	}
}

func (f *findings) err() error {
	switch {
	case f.failed != nil:
		return f.failed
	case len(f.fields) > 0:
		return &staging.InvalidError{What: "the set of resources", Fields: f.fields}
	}
	return nil
}

// checkZone says why a zone cannot be stored.
func (b *Broker) checkZone(ctx context.Context, z staging.Zone) error {
	if err := z.Validate(); err != nil {
		return err
	}
	return b.ownRegion(ctx, z)
}

// ownRegion refuses a zone in another Nomad region than the one whose sessions are
// watched: nobody would see to what runs there.
func (b *Broker) ownRegion(ctx context.Context, z staging.Zone) error {
	if z.Region == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, nomadTimeout)
	defer cancel()
	if err := b.Fleet.Ping(ctx); err != nil {
		return refusal.NoNomad(err)
	}
	own, err := b.Fleet.OwnRegion(ctx, z.Region)
	if err != nil || !own {
		return staging.Invalid("zone", "region",
			"must be that of the Nomad that the broker asks, or left out: %q is another, or none; run scalers and brokers of its own there", z.Region)
	}
	return nil
}

// checkImage says why an image cannot be stored beside the resources.
func (b *Broker) checkImage(ctx context.Context, i staging.Image, res staging.Resources) error {
	if err := i.Validate(); err != nil {
		return err
	}
	// An image that is restricted to a zone that is not there: most likely a typing
	// error, which would keep the image from ever running.
	for n, name := range i.RestrictToZones {
		if _, ok := res.Zones[name]; !ok {
			return staging.Invalid(fmt.Sprintf("image %q", i.Name), fmt.Sprintf("restrict_to_zones[%d]", n),
				"is unknown: there is no zone %q; create it first", name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, nomadTimeout)
	defer cancel()
	err := b.Fleet.Check(ctx, i)
	var invalid *staging.InvalidError
	if err == nil || errors.As(err, &invalid) {
		return err
	}
	return refusal.NoNomad(err)
}

// checkConfig says why a staging config cannot be stored beside the resources.
func (b *Broker) checkConfig(c staging.Config, res staging.Resources) error {
	if err := c.Validate(b.o.Limits); err != nil {
		return err
	}
	what := fmt.Sprintf("staging config %q", c.Name)
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
