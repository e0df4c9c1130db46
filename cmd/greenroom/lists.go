package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// list is all of a list of the broker's, whatever number of pages it took.
type list[T any] struct {
	items []T
	// raw are the items as they were answered.
	raw []json.RawMessage
}

// page is one page of a list, as the generated client has it.
type page[T any] struct {
	answer response
	body   []byte
	items  []T
	next   string
}

// pageSize is how many items one page is asked for.
const pageSize = 1000

// everyPage asks for page after page, each from the cursor that the one before gave.
func everyPage[T any](c *client, ask func(limit int, cursor string) (page[T], error)) (list[T], error) {
	var all list[T]
	for cursor := ""; ; {
		p, err := ask(pageSize, cursor)
		if err := c.answered(p.answer, err, http.StatusOK); err != nil {
			return all, err
		}
		var body struct{ Items []json.RawMessage }
		if err := json.Unmarshal(p.body, &body); err != nil {
			return all, fmt.Errorf("the broker's answer is not JSON: %w", err)
		}
		all.items, all.raw = append(all.items, p.items...), append(all.raw, body.Items...)
		if cursor = p.next; cursor == "" {
			return all, nil
		}
	}
}

func (c *client) listSessions(ctx context.Context, params httpapi.ListSessionsParams) (list[httpapi.Session], error) {
	ctx, cancel := brief(ctx)
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

func (c *client) listPools(ctx context.Context) (list[httpapi.StagingPool], error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[httpapi.StagingPool], err error) {
		r, err := c.ListStagingWithResponse(ctx, &httpapi.ListStagingParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[httpapi.StagingPool]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

func (c *client) listGroups(ctx context.Context) (list[staging.Group], error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Group], err error) {
		r, err := c.ListGroupsWithResponse(ctx, &httpapi.ListGroupsParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Group]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

func (c *client) listZones(ctx context.Context) (list[staging.Zone], error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Zone], err error) {
		r, err := c.ListZonesWithResponse(ctx, &httpapi.ListZonesParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Zone]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

func (c *client) listImages(ctx context.Context) (list[staging.Image], error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return everyPage(c, func(limit int, cursor string) (p page[staging.Image], err error) {
		r, err := c.ListImagesWithResponse(ctx, &httpapi.ListImagesParams{Limit: &limit, Cursor: cursor})
		if p.answer = r; err == nil && r.JSON200 != nil {
			p = page[staging.Image]{r, r.Body, r.JSON200.Items, r.JSON200.NextCursor}
		}
		return p, err
	})
}

// pools lists the staging configs with how their pools stand.
func (c *client) pools(ctx context.Context) ([]httpapi.StagingPool, error) {
	all, err := c.listPools(ctx)
	return all.items, err
}
