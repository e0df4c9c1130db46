package poolboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// How often a pool is published. Renewing a check costs Consul's agent a little and its
// servers nothing, so every check is renewed after a third of its TTL. A change costs
// the servers a write, so changes wait: a changed check status at least statusInterval
// after the last publication, a change of the output alone outputInterval.
const (
	checkTTL       = 30 * time.Second
	statusInterval = time.Second
	outputInterval = 5 * time.Second
	// deregisterAfter is how long Consul keeps a service whose check has expired.
	deregisterAfter = "24h"
)

// maxOutput is the most bytes of a check's output, because the output goes into Consul's
// Raft log.
const maxOutput = 2048

// notice is what is published of a pool: the zone and image of its service, and the
// status and output of its check.
type notice struct{ zone, image, status, output string }

// statuses are the check statuses of how full a pool is.
var statuses = map[staging.Fill]string{
	staging.Full: api.HealthPassing, staging.Filling: api.HealthPassing, staging.Short: api.HealthWarning, staging.Bare: api.HealthCritical,
}

func noticeOf(s staging.PoolStatus, now time.Time) notice {
	n := notice{zone: s.Zone, image: s.Image, status: statuses[s.Fill(now)], output: s.Summary(now)}
	if len(n.output) > maxOutput {
		n.output = strings.ToValidUTF8(n.output[:maxOutput], "")
	}
	return n
}

// publishDue publishes every pool that is due and removes those that are gone. It stops at
// the first error: Consul's agent does not answer then.
func (b *Board) publishDue(ctx context.Context, now time.Time) error {
	for _, pool := range b.names() {
		n, e, gone := b.due(pool, now)
		var err error
		switch {
		case gone:
			err = b.remove(ctx, pool, e)
		case n != nil:
			err = b.publish(ctx, pool, e, *n, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// due returns what to publish of a pool now, nil for nothing, and whether the pool is gone.
func (b *Board) due(pool string, now time.Time) (n *notice, e *entry, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e = b.pools[pool]
	if e.gone || !b.synced {
		return nil, e, e.gone
	}
	next, age := noticeOf(e.status, now), now.Sub(e.publishedAt)
	switch {
	case !e.registered,
		next != e.published && next.status != e.published.status && age >= statusInterval,
		next != e.published && age >= outputInterval,
		age >= b.ttl/3:
		return &next, e, false
	}
	return nil, e, false
}

// serviceID differs between scalers, so that on a shared agent each one removes only its
// own services.
func (b *Board) serviceID(pool string) string { return b.service(pool) + "-" + b.name }
func (b *Board) checkID(pool string) string   { return b.serviceID(pool) + "-check" }

// publish renews the check of one pool, and registers its service if necessary.
func (b *Board) publish(ctx context.Context, pool string, e *entry, n notice, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if e.registered {
		err := b.renewCheck(ctx, pool, n)
		var status api.StatusError
		switch {
		case errors.As(err, &status) && (status.Code == http.StatusNotFound || status.Code == http.StatusInternalServerError):
			e.registered = false // the agent has lost the check
		case err != nil:
			return err
		}
	}
	if !e.registered {
		if err := b.register(ctx, pool, n, time.Time{}); err != nil {
			return err
		}
		e.published = notice{}
		if err := b.renewCheck(ctx, pool, n); err != nil {
			return err
		}
	}
	if n != e.published {
		// An agent sends a changed status to the servers at once, but a changed output
		// only after minutes. A changed definition makes it send the output at once, too.
		if err := b.register(ctx, pool, n, now); err != nil {
			return err
		}
	}
	e.published, e.publishedAt, e.registered = n, now, true
	return nil
}

func (b *Board) renewCheck(ctx context.Context, pool string, n notice) error {
	err := b.agent.UpdateTTLOpts(b.checkID(pool), n.output, n.status, (&api.QueryOptions{}).WithContext(ctx))
	return callError(err, "renew the check of pool %s", pool)
}

// Tags of a pool's service. Scalers recognize each other's services by them.
const (
	tagZone   = "zone="
	tagImage  = "image="
	tagScaler = "scaler="
)

// register registers the pool's service or changes its definition. asOf is the time of the
// status.
func (b *Board) register(ctx context.Context, pool string, n notice, asOf time.Time) error {
	err := b.agent.ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: b.serviceID(pool), Name: b.service(pool),
		Tags: []string{"greenroom", tagZone + n.zone, tagImage + n.image, tagScaler + b.name},
		Check: &api.AgentServiceCheck{
			CheckID: b.checkID(pool), Name: "ready sessions of " + pool, TTL: b.ttl.String(), Status: n.status,
			// The time changes the definition; see publish.
			Notes:                          "as of " + asOf.UTC().Format("2006-01-02T15:04:05.000Z"),
			DeregisterCriticalServiceAfter: deregisterAfter,
		},
	}, api.ServiceRegisterOpts{}.WithContext(ctx))
	return callError(err, "register the service of pool %s", pool)
}

// callError says which call on what failed. It returns nil if err is nil.
func callError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("consul: %s: %w", fmt.Sprintf(format, args...), err)
}
