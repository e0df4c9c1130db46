package cli

import (
	"context"
	"fmt"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// zoneNames returns the names of the zones.
func zoneNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListZones(ctx)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, z := range all.Items {
		names = append(names, z.Name)
	}
	return names, nil
}

// names reads names to complete from a broker. A name may be followed by a tab and a
// description.
type names func(ctx context.Context, c *client.Client) ([]string, error)

func imageNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, i := range all.Items {
		found = append(found, i.Name)
	}
	return found, nil
}

func groupNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, g := range all.Items {
		found = append(found, g.Name)
	}
	return found, nil
}

func poolNames(ctx context.Context, c *client.Client) ([]string, error) {
	pools, err := c.Pools(ctx)
	var found []string
	for _, p := range pools {
		found = append(found, fmt.Sprintf("%s\t%d of %d ready", p.Name, p.ReadySessions, p.DesiredSessions))
	}
	return found, err
}

func sessionIDs(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListSessions(ctx, httpapi.ListSessionsParams{})
	if err != nil {
		return nil, err
	}
	var found []string
	for _, s := range all.Items {
		found = append(found, fmt.Sprintf("%s\t%s, %s", s.ID, s.State, output.Printable(userName(s))))
	}
	return found, nil
}
