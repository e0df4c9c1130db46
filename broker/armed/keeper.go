package armed

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// every is how often the heads of the ready queues are read although nothing was
	// claimed; pause is how long after a claim they are: its answer goes first, and claims that
	// come together cost one read.
	every = 250 * time.Millisecond
	pause = 20 * time.Millisecond
	// lease is how long this broker alone may keep a shell in a session.
	lease = 10 * time.Second
	// openTimeout bounds the opening of a shell; retryAfter is how long a session in which
	// that failed is left alone.
	openTimeout = 10 * time.Second
	retryAfter  = 30 * time.Second
	// turn is how long the same pools have the shells where there are more pools than
	// shells: an open shell should be of use for a while.
	turn = 30 * time.Second
	// maxOpening bounds how many shells are being opened at once.
	maxOpening = 8
)

// Store is what this package needs of Redis.
type Store interface {
	// Arm leases the oldest ready sessions of each pool to a broker, at most the pool's
	// number in most, and returns their ids by pool.
	Arm(ctx context.Context, broker string, most map[string]int, lease time.Duration) (map[string][]string, error)
	// Counts returns the numbers of current and ready sessions of each named pool.
	Counts(ctx context.Context, pools ...string) (current, ready map[string]int, err error)
	Session(ctx context.Context, id string) (staging.Session, error)
}

// Registry is what this package needs of Consul.
type Registry interface {
	Resources() staging.Resources
}

// Shells are the shells that are open in sessions.
type Shells interface {
	// Arm opens one in a task of the session ("" is its main task), unless there is one.
	Arm(ctx context.Context, s staging.Session, task string) error
	// Armed returns the ids of a pool's sessions in which one is open.
	Armed(pool string) []string
	// Keep closes those in all other sessions.
	Keep(ctx context.Context, sessions map[string]bool)
}

// Servers are the adapters that shells are kept with.
type Servers struct {
	Store    Store
	Registry Registry
	Shells   Shells
	// Opened, where it is set, is called after each attempt to open a shell in a session.
	Opened func(s staging.Session, err error)
}

// Heads returns the sessions that this broker's launches take next of each pool that they
// serve without Redis now, at most the pool's number in most. Pools that Redis serves are
// absent.
type Heads func(ctx context.Context, most map[string]int) map[string][]staging.Session

// Bounds are how many shells are open: in all, and of one pool.
type Bounds struct{ All, PerPool int }

// Keeper keeps shells open ahead of time. Run it once; Wake may be called concurrently.
type Keeper struct {
	Servers
	heads  Heads
	bounds Bounds
	log    *logrus.Entry
	// claimed holds a signal that a session was claimed in which a shell may be open.
	claimed chan struct{}
	work    *background.Group
	began   time.Time
	// leased are the sessions that this broker has leased, by pool, and renewed is when.
	leased  map[string][]string
	renewed time.Time

	mu sync.Mutex
	// opening are the sessions in which a shell is being opened, failed those in which
	// that failed, and when.
	opening map[string]bool
	failed  map[string]time.Time
}

// New returns a keeper.
func New(on Servers, heads Heads, bounds Bounds, log *logrus.Entry) *Keeper {
	return &Keeper{
		Servers: on, heads: heads, bounds: bounds, log: log, claimed: make(chan struct{}, 1), work: background.New(maxOpening), began: time.Now(),
		failed: map[string]time.Time{}, opening: map[string]bool{},
	}
}

// Wake signals that a session was claimed: a shell may be opened in another.
func (k *Keeper) Wake() {
	select {
	case k.claimed <- struct{}{}:
	default:
	}
}

// Run keeps shells open in the sessions that are claimed next, of the images that have an
// assign hook, until ctx is done. broker names this process among all brokers: leases in
// Redis decide which of them keeps a shell in which session.
func (k *Keeper) Run(ctx context.Context, broker string) {
	defer k.work.Wait()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := k.renew(ctx, broker); err != nil && ctx.Err() == nil {
			k.log.WithError(err).Debug("cannot lease sessions to keep a shell open in; assign hooks open their own")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-k.claimed:
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// renew leases the heads of the queues, starts to open shells there, and closes all others.
// A pool that launches serve without Redis has the heads of their listing instead: no lease
// keeps other brokers away from those, and each broker's listing has an order of its own.
func (k *Keeper) renew(ctx context.Context, broker string) error {
	tasks := hookTasks(k.Registry.Resources())
	pools := slices.Sorted(maps.Keys(tasks))
	most, err := k.lease(ctx, broker, pools)
	wanted := maps.Clone(k.leased)
	known := map[string]staging.Session{}
	for pool, sessions := range k.heads(ctx, most) {
		if wanted == nil {
			wanted = map[string][]string{}
		}
		wanted[pool] = nil
		for _, s := range sessions {
			wanted[pool], known[s.ID] = append(wanted[pool], s.ID), s
		}
	}
	keep := map[string]bool{}
	for _, ids := range wanted {
		for _, id := range ids {
			keep[id] = true
		}
	}
	k.Shells.Keep(ctx, keep)
	for _, pool := range pools {
		armed := k.Shells.Armed(pool)
		for _, id := range wanted[pool] {
			s, listed := known[id]
			if (listed || err == nil) && !slices.Contains(armed, id) {
				k.tryOpen(ctx, id, s, tasks[pool])
			}
		}
	}
	return err
}

// lease leases the heads of the queues in Redis, and returns how many shells each pool may
// have. While Redis fails, what was leased before stays until its lease is over: then other
// brokers or users may have the sessions.
func (k *Keeper) lease(ctx context.Context, broker string, pools []string) (most map[string]int, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	most, err = k.most(ctx, pools)
	if err == nil {
		var leased map[string][]string
		if leased, err = k.Store.Arm(ctx, broker, most, lease); err == nil {
			k.leased, k.renewed = leased, time.Now()
		}
	}
	if err != nil && time.Since(k.renewed) > lease {
		k.leased = nil
	}
	return most, err
}

// most returns how many shells each pool may have: as many as the bounds allow, or where
// that would be too many in all, a fair share for each pool with ready sessions; beside an
// error, for each pool.
func (k *Keeper) most(ctx context.Context, pools []string) (map[string]int, error) {
	need := map[string]int{}
	for _, pool := range pools {
		need[pool] = k.bounds.PerPool
	}
	var err error
	if len(pools)*k.bounds.PerPool > k.bounds.All {
		var ready map[string]int
		if _, ready, err = k.Store.Counts(ctx, pools...); err == nil {
			for _, pool := range pools {
				need[pool] = min(need[pool], ready[pool])
			}
		}
	}
	return share(need, k.bounds.All, int(time.Since(k.began)/turn)), err
}

// hookTasks returns the pools of images with an assign hook, with the hook's task.
func hookTasks(r staging.Resources) map[string]string {
	tasks := map[string]string{}
	for name, c := range r.Configs {
		if hook := r.Images[c.Image].ExecConfig.Assign; hook != nil {
			tasks[name] = hook.Task
		}
	}
	return tasks
}

// tryOpen starts to open a shell in a session, unless one is being opened there, that
// failed a moment ago, or as many as allowed are being opened. listed is the session where
// Redis is not needed for it.
func (k *Keeper) tryOpen(ctx context.Context, id string, listed staging.Session, task string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opening[id] || time.Since(k.failed[id]) < retryAfter {
		return
	}
	k.opening[id] = k.work.TryGo(func() { k.open(ctx, id, listed, task) })
	if !k.opening[id] {
		delete(k.opening, id)
	}
}

func (k *Keeper) open(ctx context.Context, id string, s staging.Session, task string) {
	call, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	listed := s.ID != ""
	var err error
	if !listed {
		s, err = k.Store.Session(call, id)
	}
	if err == nil && (listed || s.State == staging.Ready) {
		if err = k.Shells.Arm(call, s, cmp.Or(task, s.Task)); k.Opened != nil {
			k.Opened(s, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.opening, id)
	maps.DeleteFunc(k.failed, func(_ string, at time.Time) bool { return time.Since(at) > retryAfter })
	if err != nil && ctx.Err() == nil {
		k.failed[id] = time.Now()
		k.log.WithError(err).WithFields(logrus.Fields{logfield.Session: id}).
			Debug("cannot open a shell ahead of time; the assign hook will open its own")
	}
	// Another session may have been left out while maxOpening were being opened.
	k.Wake()
}
