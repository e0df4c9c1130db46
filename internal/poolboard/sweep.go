package poolboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// sweepInterval is how often the board looks for services that other scalers have left.
const sweepInterval = time.Minute

// remove deregisters a pool's service, and forgets the pool unless it is shown again.
func (b *Board) remove(ctx context.Context, pool string, e *entry) error {
	if e.registered {
		if err := b.deregister(ctx, b.serviceID(pool)); err != nil && !unknownToAgent(err) {
			return err
		}
		e.registered, e.published = false, notice{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.gone {
		delete(b.pools, pool)
	}
	return nil
}

func (b *Board) deregister(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := b.agent.ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
	return callError(err, "deregister service %s", id)
}

func unknownToAgent(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

// sweepDue reports whether it is time to sweep, and records that a sweep starts now.
func (b *Board) sweepDue(now time.Time, sweptAt *time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := now.Sub(*sweptAt)
	if !b.synced || len(b.zones) == 0 || age < sweepInterval && !(b.sweepSoon && age >= statusInterval) {
		return false
	}
	*sweptAt, b.sweepSoon = now, false
	return true
}

// sweep deregisters the services that other scalers have published in this scaler's zones;
// a scaler that was killed leaves them behind. If this agent has the service, it drops
// it. Otherwise sweep removes it from the catalog; another agent that still runs and has
// the service puts it back within minutes, until it drops the service itself, and a later
// sweep removes it again.
func (b *Board) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	filter := fmt.Sprintf("ServiceName matches %q", "^"+b.service(""))
	checks, _, err := b.health.State(api.HealthAny, (&api.QueryOptions{Filter: filter}).WithContext(ctx))
	if err != nil {
		return callError(err, "list the services of all pools")
	}
	for _, c := range checks {
		if !strings.HasPrefix(c.ServiceName, b.service("")) || !b.ownedByOther(c.ServiceTags) {
			continue
		}
		err := b.deregister(ctx, c.ServiceID)
		if unknownToAgent(err) {
			_, err = b.catalog.Deregister(&api.CatalogDeregistration{Node: c.Node, ServiceID: c.ServiceID}, (&api.WriteOptions{}).WithContext(ctx))
			err = callError(err, "remove service %s of node %s from the catalog", c.ServiceID, c.Node)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ownedByOther reports whether the tags are those of another scaler's service in one of
// this scaler's zones.
func (b *Board) ownedByOther(tags []string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	inZone := slices.ContainsFunc(tags, func(t string) bool {
		zone, ok := strings.CutPrefix(t, tagZone)
		return ok && b.zones[zone]
	})
	return inZone && !slices.Contains(tags, tagScaler+b.name)
}
