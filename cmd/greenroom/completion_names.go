package main

import (
	"context"
	"fmt"

	"github.com/greenroom/greenroom/broker/httpapi"
)

// zoneNames are the zones' names.
func zoneNames(ctx context.Context, c *client) ([]string, error) {
	all, err := c.listZones(ctx)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, z := range all.items {
		names = append(names, z.Name)
	}
	return names, nil
}

// names asks a broker for names that can be completed, each with what it is after a tab.
type names func(ctx context.Context, c *client) ([]string, error)

func imageNames(ctx context.Context, c *client) ([]string, error) {
	all, err := c.listImages(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, i := range all.items {
		found = append(found, i.Name)
	}
	return found, nil
}

func groupNames(ctx context.Context, c *client) ([]string, error) {
	all, err := c.listGroups(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, g := range all.items {
		found = append(found, g.Name)
	}
	return found, nil
}

func poolNames(ctx context.Context, c *client) ([]string, error) {
	pools, err := c.pools(ctx)
	var found []string
	for _, p := range pools {
		found = append(found, fmt.Sprintf("%s\t%d of %d ready", p.Name, p.ReadySessions, p.DesiredSessions))
	}
	return found, err
}

func sessionIDs(ctx context.Context, c *client) ([]string, error) {
	all, err := c.listSessions(ctx, httpapi.ListSessionsParams{})
	if err != nil {
		return nil, err
	}
	var found []string
	for _, s := range all.items {
		found = append(found, fmt.Sprintf("%s\t%s, %s", s.ID, s.State, printable(userName(s))))
	}
	return found, nil
}
