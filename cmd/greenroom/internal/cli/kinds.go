package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/staging"
)

// kind is a kind of resources, as get, delete and the lists have it.
type kind struct {
	// name is the word in a resource file, and plural that of the command that lists them.
	name, plural string
	names        names
	list         func(ctx context.Context, c *client.Client) (listing, error)
	// unusedOf returns the filter of the unused sessions that go when a resource is deleted;
	// nil if there are none.
	unusedOf func(name string) httpapi.ListSessionsParams
}

// kinds are all kinds, in the order in which apply stores them.
var kinds = []kind{
	{"group", "groups", groupNames, groupListing, nil},
	{"zone", "zones", zoneNames, zoneListing, func(name string) httpapi.ListSessionsParams { return httpapi.ListSessionsParams{Zone: name} }},
	{"image", "images", imageNames, imageListing, func(name string) httpapi.ListSessionsParams { return httpapi.ListSessionsParams{Image: name} }},
	{"staging", "staging", poolNames, stagingListing, func(name string) httpapi.ListSessionsParams { return httpapi.ListSessionsParams{Staging: name} }},
	{"webhook", "webhooks", webhookNames, webhookListing, nil},
}

// kindOf returns the kind with a name or plural.
func kindOf(name string) (kind, error) {
	known := make([]string, len(kinds))
	for i, k := range kinds {
		if name == k.name || name == k.plural {
			return k, nil
		}
		known[i] = k.name
	}
	return kind{}, fmt.Errorf("KIND: must be one of %s, is %q", strings.Join(known, ", "), name)
}

// order returns the place of a kind in the order in which apply stores them.
func (k kind) order() int {
	return slices.IndexFunc(kinds, func(other kind) bool { return other.name == k.name })
}

// what is a kind in a sentence.
func (k kind) what() string {
	if k.name == "staging" {
		return "staging config"
	}
	return k.name
}

// kindNames completes the names of kinds.
func kindNames(context.Context, *client.Client) ([]string, error) {
	var all []string
	for _, k := range kinds {
		all = append(all, k.name)
	}
	return all, nil
}

// byName sorts a list of the broker's by name, each item with its text.
func byName[T any](all client.List[T], name func(T) string) ([]T, []json.RawMessage) {
	order := make([]int, len(all.Items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(name(all.Items[a]), name(all.Items[b])) })
	items, raw := make([]T, len(order)), make([]json.RawMessage, len(order))
	for i, at := range order {
		items[i], raw[i] = all.Items[at], all.Raw[at]
	}
	return items, raw
}

// poolsOf returns the number of pools by what of returns for each.
func poolsOf(ctx context.Context, c *client.Client, of func(httpapi.StagingPool) string) (map[string]int, error) {
	pools, err := c.Pools(ctx)
	count := map[string]int{}
	for _, p := range pools {
		count[of(p)]++
	}
	return count, err
}

func zoneListing(ctx context.Context, c *client.Client) (listing, error) {
	l := listing{
		header: []string{"NAME", "DATACENTERS", "NODE POOL", "NAMESPACE", "ALTERNATES", "GROUPS", "STAGES", "POOLS"},
		wide:   []string{"REGION", "ORIGIN DOMAIN", "UPSTREAM AUTH", "MAX SESSIONS"},
	}
	all, err := c.ListZones(ctx)
	if err != nil {
		return l, err
	}
	pools, err := poolsOf(ctx, c, func(p httpapi.StagingPool) string { return p.Zone })
	if err != nil {
		return l, err
	}
	items, raw := byName(all, func(z staging.Zone) string { return z.Name })
	l.raw = raw
	for _, z := range items {
		alternates := "none"
		if z.SearchAlternateZones {
			alternates = everyOr("all", z.AlternateZones)
		}
		l.rows = append(l.rows, []string{
			z.Name, placeOf(z), cmp.Or(z.NodePool, "default"), cmp.Or(z.Namespace, "default"), alternates, everyOr("all", z.AllowedGroups),
			yesNo(z.WhyNotStageable() == ""), strconv.Itoa(pools[z.Name]),
			z.Region, z.AllowOriginDomain, z.UpstreamAuthAddress, numberOrNone(z.MaxSessions),
		})
	}
	return l, nil
}

// placeOf says where a zone's sessions run.
func placeOf(z staging.Zone) string {
	switch {
	case z.Peer == "":
		return strings.Join(z.Datacenters, ",")
	case z.PeerZone == "":
		return "at peer " + z.Peer
	}
	return "at peer " + z.Peer + " (" + z.PeerZone + ")"
}

func imageListing(ctx context.Context, c *client.Client) (listing, error) {
	l := listing{
		header: []string{"NAME", "ENABLED", "ZONES", "GROUPS", "HOOKS", "STAGES", "POOLS", "REVISION"},
		wide:   []string{"TIME LIMIT", "LABELS", "MAX SESSIONS", "PER USER", "PROFILE", "CONNECT URL"},
	}
	all, err := c.ListImages(ctx)
	if err != nil {
		return l, err
	}
	staged, err := c.Pools(ctx)
	if err != nil {
		return l, err
	}
	pools, made := map[string]int{}, map[string][]string{}
	for _, p := range staged {
		pools[p.Image]++
		if p.Revision != "" && !slices.Contains(made[p.Image], p.Revision) {
			made[p.Image] = append(made[p.Image], p.Revision)
		}
	}
	items, raw := byName(all, func(i staging.Image) string { return i.Name })
	l.raw = raw
	for _, i := range items {
		limit := ""
		if i.SessionTimeLimit != 0 {
			limit = i.SessionTimeLimit.String()
		}
		l.rows = append(l.rows, []string{
			i.Name, yesNo(i.IsEnabled()), everyOr("all", i.RestrictToZones), everyOr("all", i.AllowedGroups), hooksOf(i.ExecConfig),
			yesNo(i.WhyNotStageable() == ""), strconv.Itoa(pools[i.Name]), strings.Join(made[i.Name], ","),
			limit, labelsFact(i.Labels), numberOrNone(i.MaxSessions), numberOrNone(i.MaxSessionsPerUser), i.PersistentProfilePath, i.ConnectURL,
		})
	}
	return l, nil
}

// hooksOf lists the hooks that an image has.
func hooksOf(x staging.ExecConfig) string {
	var has []string
	for name := range x.Hooks {
		has = append(has, string(name))
	}
	return strings.Join(has, ",")
}

func groupListing(ctx context.Context, c *client.Client) (listing, error) {
	l := listing{header: []string{"NAME", "PRIORITY", "SETTINGS"}}
	all, err := c.ListGroups(ctx)
	if err != nil {
		return l, err
	}
	items, raw := byName(all, func(g staging.Group) string { return g.Name })
	l.raw = raw
	for _, g := range items {
		l.rows = append(l.rows, []string{g.Name, strconv.Itoa(g.Priority), strings.Join(settingsOf(g), " ")})
	}
	return l, nil
}

// numberOrNone is a number of which 0 means that there is none.
func numberOrNone(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// everyOr lists names; where there are none, all are meant.
func everyOr(all string, names []string) string {
	if len(names) == 0 {
		return all
	}
	return strings.Join(names, ",")
}

// remove deletes a resource.
func (k kind) remove(ctx context.Context, c *client.Client, name string) error {
	name, err := pathArgument("NAME", name)
	if err != nil {
		return err
	}
	return resources.Delete(ctx, c, k.name, name)
}
