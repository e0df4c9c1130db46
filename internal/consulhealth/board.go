package consulhealth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Times of a board. What it says is good for boardTTL and repeated in a third of that,
// which costs Consul's agent a little and its servers nothing. A change of a pool's
// degree is told boardLeast after what was told before, one of its words alone boardWords
// after: so a pool costs the servers a bounded number of writes, whatever happens in it.
const (
	boardTTL   = 30 * time.Second
	boardLeast = time.Second
	boardWords = 5 * time.Second
	boardTick  = 250 * time.Millisecond
	boardCall  = 3 * time.Second
	// boardPause is for how long Consul is left alone after it did not answer.
	boardPause = 2 * time.Second
	// boardSweep is how often what other scalers left is looked for.
	boardSweep = time.Minute
	// boardForget is for how long Consul shows what nobody tells any more.
	boardForget = "24h"
)

// maxWords bounds what is told of one pool: it goes into Consul's Raft.
const maxWords = 2048

// Board shows in Consul how pools stand, to people who look at Consul alone: a service
// for each pool, with a TTL check. It is one scaler's, who has the zones of its pools.
//
// What Board promises: a pool that is shown is in Consul a moment later, with what was
// last said of it; one that is no longer shown is gone; when the scaler stops saying
// that it knows, or dies, the check becomes critical by itself; and what another scaler
// has left of a pool that is shown here is taken away. Run does all the work; the other
// methods only note, and never wait for Consul.
type Board struct {
	agent   *api.Agent
	catalog *api.Catalog
	health  *api.Health
	name    string
	ttl     time.Duration

	mu    sync.Mutex
	pools map[string]*posted
	// zones are those of which this scaler tells, knows whether it sees them whole.
	zones map[string]bool
	knows bool
	// sweep: another scaler may have told of a pool here before.
	sweep bool
}

// posted is what a board has of one pool.
type posted struct {
	standing staging.PoolStatus
	gone     bool
	// told is what Consul was last told, at when; registered: it has the service.
	told       notice
	at         time.Time
	registered bool
}

// notice is what is told of a pool.
type notice struct{ zone, image, status, words string }

// NewBoard returns a board on the Consul agent that client speaks to; name tells its
// scaler from the others.
func NewBoard(client *api.Client, name string) *Board {
	return &Board{
		agent: client.Agent(), catalog: client.Catalog(), health: client.Health(), name: name, ttl: boardTTL,
		pools: map[string]*posted{}, zones: map[string]bool{},
	}
}

// Show notes how a pool stands.
func (b *Board) Show(pool string, s staging.PoolStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pools[pool]
	if p == nil {
		p = &posted{}
		b.pools[pool] = p
		b.sweep = true
	}
	p.standing, p.gone = s, false
}

// Gone notes that a pool is drained, or another scaler's.
func (b *Board) Gone(pool string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pools[pool]; p != nil {
		p.gone = true
	}
}

// Holds notes the zones in which the scaler acts, and whether it knows how they stand:
// while it does not, nothing is repeated, and what was said runs out.
func (b *Board) Holds(zones map[string]bool, knows bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.zones)
	for z := range zones {
		b.zones[z] = true
	}
	b.knows = knows
}

// Run tells Consul until ctx is done, and takes everything away before it returns. What
// it could not do is told to problem, which must not block, and tried again.
func (b *Board) Run(ctx context.Context, problem func(error)) {
	ticker := time.NewTicker(boardTick)
	defer ticker.Stop()
	var swept, pause time.Time
	for {
		select {
		case <-ctx.Done():
			b.clear(problem)
			return
		case now := <-ticker.C:
			if now.Before(pause) {
				continue
			}
			err := b.round(ctx, now)
			if err == nil && b.due(now, &swept) {
				err = b.sweepOthers(ctx)
			}
			if err != nil && ctx.Err() == nil {
				problem(err)
				pause = now.Add(boardPause)
			}
		}
	}
}

// due reports whether it is time to look for what others left.
func (b *Board) due(now time.Time, swept *time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.knows || len(b.zones) == 0 || now.Sub(*swept) < boardSweep && !(b.sweep && now.Sub(*swept) >= boardLeast) {
		return false
	}
	*swept, b.sweep = now, false
	return true
}

// round tells what is due of each pool. The first failure ends it: Consul's agent is away.
func (b *Board) round(ctx context.Context, now time.Time) error {
	for _, pool := range b.names() {
		n, p, gone := b.wanted(pool, now)
		var err error
		switch {
		case gone:
			err = b.takeDown(ctx, pool, p)
		case n != nil:
			err = b.post(ctx, pool, p, *n, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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

// wanted is what is to be told of a pool now; nil for nothing. Of what it gives, only
// Run's goroutine uses more than the standing.
func (b *Board) wanted(pool string, now time.Time) (n *notice, p *posted, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p = b.pools[pool]
	if p.gone || !b.knows {
		return nil, p, p.gone
	}
	s := p.standing
	next := notice{zone: s.Zone, image: s.Image, status: statuses[s.Fill()], words: s.Words()}
	if len(next.words) > maxWords {
		next.words = strings.ToValidUTF8(next.words[:maxWords], "")
	}
	since := now.Sub(p.at)
	switch {
	case !p.registered,
		next != p.told && next.status != p.told.status && since >= boardLeast,
		next != p.told && since >= boardWords,
		since >= b.ttl/3:
		return &next, p, false
	}
	return nil, p, false
}

// statuses are Consul's words for the degrees.
var statuses = map[staging.Fill]string{
	staging.Full: api.HealthPassing, staging.Short: api.HealthWarning, staging.Bare: api.HealthCritical,
}

// serviceID is not the same for two scalers: on one agent each takes away its own alone.
func (b *Board) serviceID(pool string) string { return staging.PoolStatusService(pool) + "-" + b.name }
func (b *Board) checkID(pool string) string   { return b.serviceID(pool) + "-check" }

// post tells of one pool.
func (b *Board) post(ctx context.Context, pool string, p *posted, n notice, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, boardCall)
	defer cancel()
	if p.registered {
		err := b.say(ctx, pool, n)
		var status api.StatusError
		switch {
		case errors.As(err, &status) && (status.Code == http.StatusNotFound || status.Code == http.StatusInternalServerError):
			p.registered = false // the agent has lost it
		case err != nil:
			return err
		}
	}
	if !p.registered {
		if err := b.register(ctx, pool, n, time.Time{}); err != nil {
			return err
		}
		p.told = notice{}
		if err := b.say(ctx, pool, n); err != nil {
			return err
		}
	}
	if n != p.told {
		// An agent tells the servers of another status at once, of other words after
		// minutes; but at once of a check that is defined anew, with its words.
		if err := b.register(ctx, pool, n, now); err != nil {
			return err
		}
	}
	p.told, p.at, p.registered = n, now, true
	return nil
}

func (b *Board) say(ctx context.Context, pool string, n notice) error {
	return b.agent.UpdateTTLOpts(b.checkID(pool), n.words, n.status, (&api.QueryOptions{}).WithContext(ctx))
}

// Tags of a pool's service, by which scalers tell whose it is.
const (
	tagZone   = "zone="
	tagImage  = "image="
	tagScaler = "scaler="
)

// register makes the pool's service, or defines it anew; asOf is when its words were said.
func (b *Board) register(ctx context.Context, pool string, n notice, asOf time.Time) error {
	return b.agent.ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: b.serviceID(pool), Name: staging.PoolStatusService(pool),
		Tags: []string{"greenroom", tagZone + n.zone, tagImage + n.image, tagScaler + b.name},
		Check: &api.AgentServiceCheck{
			CheckID: b.checkID(pool), Name: "ready sessions of " + pool, TTL: b.ttl.String(), Status: n.status,
			// See post: the time makes the definition another one.
			Notes:                          "as of " + asOf.UTC().Format("2006-01-02T15:04:05.000Z"),
			DeregisterCriticalServiceAfter: boardForget,
		},
	}, api.ServiceRegisterOpts{}.WithContext(ctx))
}

// takeDown takes a pool's service away, and forgets the pool unless it is shown again.
func (b *Board) takeDown(ctx context.Context, pool string, p *posted) error {
	if p.registered {
		if err := b.deregister(ctx, b.serviceID(pool)); err != nil && !unknownToAgent(err) {
			return err
		}
		p.registered, p.told = false, notice{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.gone {
		delete(b.pools, pool)
	}
	return nil
}

func (b *Board) deregister(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, boardCall)
	defer cancel()
	return b.agent.ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
}

func unknownToAgent(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

// sweepOthers takes away what other scalers have told of pools in the zones that this
// one has: one that was killed leaves it behind. An agent that still has it gives it up
// here where it is ours, too; elsewhere it puts it back within minutes if it lives, until
// it forgets it: then it is taken away again.
func (b *Board) sweepOthers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, boardCall)
	defer cancel()
	checks, _, err := b.health.State(api.HealthAny, (&api.QueryOptions{Filter: fmt.Sprintf("ServiceName matches %q", "^"+staging.PoolStatusService(""))}).WithContext(ctx))
	if err != nil {
		return err
	}
	for _, c := range checks {
		if _, ours := staging.PoolOfStatusService(c.ServiceName); !ours || !b.anothers(c.ServiceTags) {
			continue
		}
		err := b.deregister(ctx, c.ServiceID)
		if unknownToAgent(err) {
			_, err = b.catalog.Deregister(&api.CatalogDeregistration{Node: c.Node, ServiceID: c.ServiceID}, (&api.WriteOptions{}).WithContext(ctx))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// anothers: the tags are of another scaler's service, of a zone that is this one's.
func (b *Board) anothers(tags []string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	inZone := slices.ContainsFunc(tags, func(t string) bool {
		zone, ok := strings.CutPrefix(t, tagZone)
		return ok && b.zones[zone]
	})
	return inZone && !slices.Contains(tags, tagScaler+b.name)
}

// clear takes everything away.
func (b *Board) clear(problem func(error)) {
	ctx, cancel := context.WithTimeout(context.Background(), boardCall)
	defer cancel()
	for _, pool := range b.names() {
		b.Gone(pool)
		b.mu.Lock()
		p := b.pools[pool]
		b.mu.Unlock()
		if err := b.takeDown(ctx, pool, p); err != nil {
			problem(err)
			return
		}
	}
}
