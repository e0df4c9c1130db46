package sessioncatalog

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// tick is how often Run looks for work. What changes in between shares a transaction.
	tick = 250 * time.Millisecond
	// callTimeout bounds one call to Consul.
	callTimeout = 10 * time.Second
	// writeInterval is the shortest time between two writes of one entry, so that a check
	// that flaps costs Consul a bounded number of writes.
	writeInterval = 2 * time.Second
	// refusedPause is how long an entry that Consul refused is left alone.
	refusedPause = time.Minute
	// firstPause and longestPause bound how long Run leaves Consul alone after an error.
	firstPause, longestPause = time.Second, 30 * time.Second
)

// sweepInterval returns how long a sweep is valid. A sweep reads all entries, so its cost
// grows with their number.
func sweepInterval(entries int) time.Duration {
	return 15*time.Second + time.Duration(entries)*3*time.Millisecond
}

// Names are the names under which one installation's sessions are in the catalog.
type Names struct{ Service, Node string }

// DefaultNames returns the names of an installation that has set none.
func DefaultNames() Names {
	return Names{Service: staging.SessionsService, Node: staging.SessionsService}
}

// Catalog shows one scaler's assigned sessions. Run makes all calls to Consul. The other
// methods only record what Run has to write; they never wait for Consul.
type Catalog struct {
	txn     *api.Txn
	health  *api.Health
	catalog *api.Catalog
	names   Names

	// nodeKnown: our node is in the catalog. Only Run's goroutine uses it.
	nodeKnown bool

	mu sync.Mutex
	// entries are the sessions that are, or may be, assigned, and those whose entry has
	// to be removed. dirty are those that have to be written or removed: the number of
	// sessions bounds both.
	entries map[string]*entry
	dirty   map[string]bool
	// acting are the zones in which this scaler acts, wanted all zones that exist or have
	// sessions. inSync is whether this scaler knows their state.
	acting, wanted map[string]bool
	inSync         bool
	// sweepSoon: a zone is new here, so the catalog must be read before it is written.
	sweepSoon bool
}

// entry is a session in the catalog. The Catalog's mu guards it.
type entry struct {
	zone string
	// shown: assignment is known. Otherwise the session may be assigned, and what the
	// catalog has of it stays as it is.
	shown      bool
	assignment staging.Assignment
	// gone: the entry has to be removed.
	gone bool
	// written is what Consul has of it, as far as is known; zero for nothing.
	written record
	// writtenAt is when this scaler last wrote it, until when it is left alone.
	writtenAt, until time.Time
}

// New returns the catalog of client's Consul.
func New(client *api.Client, names Names) *Catalog {
	return &Catalog{
		txn: client.Txn(), health: client.Health(), catalog: client.Catalog(), names: names,
		entries: map[string]*entry{}, dirty: map[string]bool{}, acting: map[string]bool{}, wanted: map[string]bool{},
	}
}

// Show sets what the catalog shows of an assigned session.
func (c *Catalog) Show(a staging.Assignment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(a.Session)
	e.zone, e.shown, e.gone, e.assignment = a.Zone, true, false, a
	c.compare(a.Session, e)
}

// Keep notes a session that may be assigned and whose user is not known yet: what the
// catalog has of it stays as it is.
func (c *Catalog) Keep(session, zone string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(session)
	e.zone, e.gone = zone, false
}

// Gone removes the entry of a session that is not assigned any more, if it has one.
func (c *Catalog) Gone(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[session]
	if e == nil {
		return
	}
	if e.written == (record{}) && e.writtenAt.IsZero() {
		// It was never written. Should the catalog have it all the same, a sweep finds it.
		c.forget(session)
		return
	}
	e.gone, e.until = true, time.Time{}
	c.compare(session, e)
}

// Holds sets the zones in which the scaler acts, all zones that exist or have sessions, and
// whether the scaler knows their state. The scaler that acts in staging.UnplacedZone also
// has the entries of zones that are not wanted.
func (c *Catalog) Holds(acting, wanted map[string]bool, inSync bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inSync = inSync
	if maps.Equal(c.wanted, wanted) && maps.Equal(c.acting, acting) {
		return
	}
	for zone := range acting {
		c.sweepSoon = c.sweepSoon || !c.acting[zone]
	}
	c.acting, c.wanted = maps.Clone(acting), maps.Clone(wanted)
	for id, e := range c.entries {
		if !c.owns(e.zone) {
			c.forget(id) // another scaler writes it now
		}
	}
}

// Waiting returns how many entries have to be written or removed.
func (c *Catalog) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.dirty)
}

// owns reports whether this scaler writes the entries of a zone.
func (c *Catalog) owns(zone string) bool {
	return c.acting[zone] || c.acting[staging.UnplacedZone] && !c.wanted[zone]
}

func (c *Catalog) entry(session string) *entry {
	e := c.entries[session]
	if e == nil {
		e = &entry{}
		c.entries[session] = e
	}
	return e
}

// compare notes whether an entry has to be written or removed.
func (c *Catalog) compare(session string, e *entry) {
	if e.gone || e.shown && recordOf(c.names, e.assignment, e.written) != e.written {
		c.dirty[session] = true
		return
	}
	delete(c.dirty, session)
}

func (c *Catalog) forget(session string) {
	delete(c.entries, session)
	delete(c.dirty, session)
}

// Run writes until ctx is done. It leaves the entries in the catalog then: the sessions are
// still assigned, and the next scaler takes the entries over. It passes errors to report,
// which must not block, and tries again.
func (c *Catalog) Run(ctx context.Context, report func(error)) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var sweepAt, pausedUntil time.Time
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if now.Before(pausedUntil) {
				continue
			}
			err := c.work(ctx, now, &sweepAt)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				report(err)
				pausedUntil, pause = time.Now().Add(pause), min(2*pause, longestPause)
			default:
				pause = firstPause
			}
		}
	}
}

// work sweeps if that is due, and writes all that waits.
func (c *Catalog) work(ctx context.Context, now time.Time, sweepAt *time.Time) error {
	if c.sweepDue(now, *sweepAt) {
		entries, err := c.sweep(ctx)
		if err != nil {
			return err
		}
		*sweepAt = now.Add(sweepInterval(entries))
	}
	return c.writeWaiting(ctx)
}

// sweepDue reports whether to read the catalog now.
func (c *Catalog) sweepDue(now, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inSync && len(c.acting) > 0 && (c.sweepSoon || !now.Before(at))
}
