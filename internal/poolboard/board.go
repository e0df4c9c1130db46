package poolboard

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// tick is how often Run looks for work.
	tick = 250 * time.Millisecond
	// callTimeout bounds the calls to Consul of one step.
	callTimeout = 3 * time.Second
	// retryPause is how long Run leaves Consul alone after an error.
	retryPause = 2 * time.Second
)

// Board publishes the status of one scaler's pools. Run makes all calls to Consul. The
// other methods only record what Run has to publish; they never wait for Consul.
type Board struct {
	agent   *api.Agent
	catalog *api.Catalog
	health  *api.Health
	name    string
	called  staging.Names
	ttl     time.Duration

	mu    sync.Mutex
	pools map[string]*entry
	// zones are the zones in which this scaler acts.
	zones map[string]bool
	// synced is whether this scaler knows the state of its zones.
	synced bool
	// sweepSoon: a pool is new here, so another scaler may have left a service for it.
	sweepSoon bool
}

// entry is a pool on the board.
type entry struct {
	// status and gone are under the board's mu.
	status staging.PoolStatus
	gone   bool

	// The rest is used by Run's goroutine alone. published is what Consul has, since
	// publishedAt; registered is whether Consul's agent has the pool's service.
	published   notice
	publishedAt time.Time
	registered  bool
}

// New returns a board on the Consul agent of client. name distinguishes its scaler from
// others and must be unique.
func New(client *api.Client, name string) *Board {
	return &Board{
		agent: client.Agent(), catalog: client.Catalog(), health: client.Health(), name: name, called: staging.DefaultNames, ttl: checkTTL,
		pools: map[string]*entry{}, zones: map[string]bool{},
	}
}

// Named makes the board publish under an installation's names, and returns it. Call it
// before Run.
func (b *Board) Named(names staging.Names) *Board {
	b.called = names
	return b
}

// service returns the name of the service that shows a pool's status.
func (b *Board) service(pool string) string { return b.called.Service(staging.PoolStatusService(pool)) }

// Show sets the status of a pool. The caller must not change its conditions any more.
func (b *Board) Show(pool string, s staging.PoolStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.pools[pool]
	if e == nil {
		e = &entry{}
		b.pools[pool] = e
		b.sweepSoon = true
	}
	e.status, e.gone = s, false
}

// Gone removes a pool that has been drained or that another scaler has taken over.
func (b *Board) Gone(pool string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.pools[pool]; e != nil {
		e.gone = true
	}
}

// Holds sets the zones in which the scaler acts, and whether it knows their state. While
// it does not, the board renews no check, so that the checks expire.
func (b *Board) Holds(zones map[string]bool, synced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.zones)
	for z := range zones {
		b.zones[z] = true
	}
	b.synced = synced
}

// Run publishes until ctx is done, and deregisters all its services before it returns. It
// passes errors to report, which must not block, and tries again.
func (b *Board) Run(ctx context.Context, report func(error)) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var sweptAt, pausedUntil time.Time
	for {
		select {
		case <-ctx.Done():
			b.deregisterAll(report)
			return
		case now := <-ticker.C:
			if now.Before(pausedUntil) {
				continue
			}
			err := b.publishDue(ctx, now)
			if err == nil && b.sweepDue(now, &sweptAt) {
				err = b.sweep(ctx)
			}
			if err != nil && ctx.Err() == nil {
				report(err)
				pausedUntil = now.Add(retryPause)
			}
		}
	}
}

// names returns the names of all pools on the board, sorted.
func (b *Board) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.pools))
	for name := range b.pools {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// deregisterAll deregisters all services of this board. It stops at the first error:
// Consul's agent does not answer then.
func (b *Board) deregisterAll(report func(error)) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for _, pool := range b.names() {
		b.Gone(pool)
		b.mu.Lock()
		e := b.pools[pool]
		b.mu.Unlock()
		if err := b.remove(ctx, pool, e); err != nil {
			report(err)
			return
		}
	}
}
