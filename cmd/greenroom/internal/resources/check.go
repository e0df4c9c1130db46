package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/staging"
)

// references checks that every zone and image that a staging config names is in the files
// or stored, and that nothing is deleted that something remaining names.
func (f *files) references(there stored, all []change) error {
	gone := map[string]bool{}
	for _, ch := range all {
		gone[ch.Kind+" "+ch.Name] = ch.Action == actionDelete
	}
	for _, c := range f.set.Configs {
		block := f.blocks[blockStaging+" "+c.Name]
		for _, ref := range []struct{ kind, name string }{{blockZone, c.Zone}, {blockImage, c.Image}} {
			id := ref.kind + " " + ref.name
			_, declared := f.declared[id]
			switch {
			case declared || there[ref.kind][ref.name] != "" && !gone[id]:
			case gone[id]:
				f.find(rangeOf(block, ref.kind), "staging %q: %s %q is not in these files, and --prune would delete it", c.Name, ref.kind, ref.name)
			default:
				f.find(rangeOf(block, ref.kind), "staging %q: there is no %s %q, neither in these files nor in the broker", c.Name, ref.kind, ref.name)
			}
		}
	}
	for name, text := range there[blockStaging] {
		id := blockStaging + " " + name
		if _, declared := f.declared[id]; declared || gone[id] {
			continue
		}
		var c staging.Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return err
		}
		for _, ref := range []struct{ kind, name string }{{blockZone, c.Zone}, {blockImage, c.Image}} {
			if gone[ref.kind+" "+ref.name] {
				f.find(hcl.Range{}, "%s %q is not in these files, and --prune cannot delete it: staging config %q, which these files leave alone, names it",
					ref.kind, ref.name, name)
			}
		}
	}
	if err := f.allowedGroups(there, gone); err != nil {
		return err
	}
	return f.err()
}

// allowedGroups checks that --prune deletes no group that an image or a zone allows, be it in
// the files or left alone by them.
func (f *files) allowedGroups(there stored, gone map[string]bool) error {
	check := func(kind, name string, allowed []string) {
		for _, group := range allowed {
			if !gone[blockGroup+" "+group] {
				continue
			}
			if block, declared := f.blocks[kind+" "+name]; declared {
				f.find(rangeOf(block, "allowed_groups"), "%s %q: group %q is not in these files, and --prune would delete it", kind, name, group)
				continue
			}
			f.find(hcl.Range{}, "group %q is not in these files, and --prune cannot delete it: %s %q, which these files leave alone, allows it",
				group, kind, name)
		}
	}
	for _, z := range f.set.Zones {
		check(blockZone, z.Name, z.AllowedGroups)
	}
	for _, i := range f.set.Images {
		check(blockImage, i.Name, i.AllowedGroups)
	}
	for _, kind := range []string{blockZone, blockImage} {
		for _, name := range slices.Sorted(maps.Keys(there[kind])) {
			id := kind + " " + name
			if _, declared := f.declared[id]; declared || gone[id] {
				continue
			}
			var v struct {
				AllowedGroups []string `json:"allowed_groups"`
			}
			if err := json.Unmarshal([]byte(there[kind][name]), &v); err != nil {
				return err
			}
			check(kind, name, v.AllowedGroups)
		}
	}
	return nil
}

// checkTimeout bounds the broker's check of a set, in which it calls Nomad for each jobspec.
const checkTimeout = 4 * client.CallTimeout

// accepted makes the broker check everything that changes as one set: its limits, the
// jobspecs (with Nomad), and whether the resources fit together. Findings become errors at
// the lines of the files. What is accepted and may not be meant is written to warn.
func (f *files) accepted(ctx context.Context, c *client.Client, all []change, warn io.Writer) error {
	var set httpapi.ResourceSet
	at := map[string]change{}
	for _, ch := range all {
		switch v := ch.resource.(type) {
		case staging.Zone:
			at[partOf("zones", len(set.Zones))] = ch
			set.Zones = append(set.Zones, v)
		case staging.Image:
			at[partOf("images", len(set.Images))] = ch
			set.Images = append(set.Images, v)
		case staging.Group:
			at[partOf("groups", len(set.Groups))] = ch
			set.Groups = append(set.Groups, v)
		case staging.Config:
			at[partOf("staging", len(set.Staging))] = ch
			set.Staging = append(set.Staging, v)
		case staging.Webhook:
			at[partOf("webhooks", len(set.Webhooks))] = ch
			set.Webhooks = append(set.Webhooks, v)
		}
	}
	if len(at) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := c.CheckResourcesWithResponse(ctx, set)
	err = c.Answered(r, err, 204)
	if err == nil {
		for _, text := range client.Warnings(r.HTTPResponse) {
			fmt.Fprintln(warn, "warning:", text)
		}
	}
	var refused *client.ProblemError
	if !errors.As(err, &refused) {
		return err
	}
	for _, e := range refused.Errors {
		in, field, _ := strings.Cut(e.Field, ".")
		ch, ok := at[in]
		if !ok {
			return err
		}
		block := f.blocks[ch.Kind+" "+ch.Name]
		f.about(block, rangeOf(block, field), field, e.Message)
	}
	if len(refused.Errors) == 0 {
		return err
	}
	return f.err()
}

// partOf returns the path of a resource in a set, as the broker's findings name it.
func partOf(list string, n int) string { return list + "[" + strconv.Itoa(n) + "]" }
