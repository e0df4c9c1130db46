package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// List is a whole list of the broker's, of all its pages.
type List[T any] struct {
	Items []T
	// Raw are the items as the broker answered them, with fields that this client does not
	// know.
	Raw []json.RawMessage
}

// page is one page of a list, from an answer of the generated client.
type page[T any] struct {
	answer Response
	body   []byte
	items  []T
	next   string
}

// pageSize is the number of items that a request asks for.
const pageSize = 1000

// everyPage reads page after page; each begins at the cursor that the previous one returned.
func everyPage[T any](c *Client, ask func(limit int, cursor string) (page[T], error)) (List[T], error) {
	var all List[T]
	for cursor := ""; ; {
		p, err := ask(pageSize, cursor)
		if err := c.Answered(p.answer, err, http.StatusOK); err != nil {
			return all, err
		}
		var body struct{ Items []json.RawMessage }
		if err := json.Unmarshal(p.body, &body); err != nil {
			return all, fmt.Errorf("the broker's answer is not JSON: %w", err)
		}
		all.Items, all.Raw = append(all.Items, p.items...), append(all.Raw, body.Items...)
		if cursor = p.next; cursor == "" {
			return all, nil
		}
	}
}

// ListSessions returns the sessions that params select.
func (c *Client) ListSessions(ctx context.Context, params httpapi.ListSessionsParams) (List[httpapi.Session], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[httpapi.Session], err error) {
		params.Limit, params.Cursor = &limit, cursor
		r, err := c.ListSessionsWithResponse(ctx, &params)
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[httpapi.Session]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// ListPools returns the staging configs with the status of their pools.
func (c *Client) ListPools(ctx context.Context) (List[httpapi.StagingPool], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[httpapi.StagingPool], err error) {
		r, err := c.ListStagingWithResponse(ctx, &httpapi.ListStagingParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[httpapi.StagingPool]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// ListGroups returns the groups.
func (c *Client) ListGroups(ctx context.Context) (List[staging.Group], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Group], err error) {
		r, err := c.ListGroupsWithResponse(ctx, &httpapi.ListGroupsParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Group]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// ListZones returns the zones.
func (c *Client) ListZones(ctx context.Context) (List[staging.Zone], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Zone], err error) {
		r, err := c.ListZonesWithResponse(ctx, &httpapi.ListZonesParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Zone]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// ListImages returns the images.
func (c *Client) ListImages(ctx context.Context) (List[staging.Image], error) {
	ctx, cancel := Brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Image], err error) {
		r, err := c.ListImagesWithResponse(ctx, &httpapi.ListImagesParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Image]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// Pools returns the staging configs with the status of their pools.
func (c *Client) Pools(ctx context.Context) ([]httpapi.StagingPool, error) {
	all, err := c.ListPools(ctx)
	return all.Items, err
}

// Desired returns how many ready sessions a pool wants now.
func Desired(p httpapi.StagingPool) int {
	if p.Fill == "" {
		// A broker of an earlier version has only the config's own number.
		return p.DesiredSessions
	}
	return p.DesiredNow
}

// Degraded reports whether a pool lacks sessions and is not just filling.
func Degraded(p httpapi.StagingPool) bool {
	if p.Fill == "" {
		return p.ReadySessions < p.DesiredSessions
	}
	return staging.Fill(p.Fill).Degraded()
}
