package resources

import (
	"context"
	"encoding/json"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/staging"
)

// Set is a set of resources to store.
type Set struct {
	Zones   []staging.Zone
	Images  []staging.Image
	Groups  []staging.Group
	Configs []staging.Config
	// Webhooks are seen by administrators of the whole installation alone.
	Webhooks []staging.Webhook
}

// stored is what the broker has: by kind and by name, each resource as its JSON.
type stored map[string]map[string]string

// storedBy reads all resources from the broker, webhooks only where the set has some: not all
// who may store the others may read those.
func (set Set) storedBy(ctx context.Context, c *client.Client) (stored, error) {
	s := stored{blockZone: {}, blockImage: {}, blockGroup: {}, blockStaging: {}, blockWebhook: {}}
	if len(set.Webhooks) > 0 {
		webhooks, err := c.ListWebhooks(ctx)
		if err != nil {
			return s, err
		}
		for _, w := range webhooks.Items {
			s[blockWebhook][w.Name] = asText(w)
		}
	}
	zones, err := c.ListZones(ctx)
	if err != nil {
		return s, err
	}
	for _, z := range zones.Items {
		s[blockZone][z.Name] = asText(z)
	}
	images, err := c.ListImages(ctx)
	if err != nil {
		return s, err
	}
	for _, i := range images.Items {
		s[blockImage][i.Name] = asText(i)
	}
	groups, err := c.ListGroups(ctx)
	if err != nil {
		return s, err
	}
	for _, g := range groups.Items {
		s[blockGroup][g.Name] = asText(g)
	}
	pools, err := c.Pools(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range pools {
		s[blockStaging][p.Name] = asText(p.Config())
	}
	return s, nil
}

// asResource is the inverse of asText; nil for "".
func asResource[T any](text string) *T {
	if text == "" {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		panic("greenroom: what was written as JSON always parses: " + err.Error())
	}
	return v
}

// asText returns a resource as JSON; equal resources have equal texts.
func asText(resource any) string {
	b, err := json.Marshal(resource)
	if err != nil {
		panic("greenroom: what came from JSON or HCL always marshals: " + err.Error())
	}
	return string(b)
}
