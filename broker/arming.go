package broker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Of keeping shells in sessions ahead of time.
const (
	// armEvery is how often the heads of the ready queues are looked at though nothing
	// was claimed; armPause is between two looks in any case.
	armEvery = 250 * time.Millisecond
	armPause = 20 * time.Millisecond
	// armLease is for how long a session is this broker's to keep a shell in.
	armLease = 10 * time.Second
	// armTimeout bounds the opening of a shell; armAgain is how long a session is left
	// alone in which none would open.
	armTimeout = 10 * time.Second
	armAgain   = 30 * time.Second
	// arming bounds how many are opened at once.
	arming = 8
)

// wantArmed says that a session was claimed: another may be armed in its place.
func (b *Broker) wantArmed() {
	select {
	case b.rearm <- struct{}{}:
	default:
	}
}

// KeepArmed keeps shells in the sessions that are claimed next, of the images that
// have an assign hook, until ctx is done. Which broker keeps one in which session is
// settled by leases in Redis; without Redis the shells that there are stay until the
// leases are over.
func (b *Broker) KeepArmed(ctx context.Context, name string) {
	k := &keeper{b: b, name: name, places: newSlots(arming), failed: map[string]time.Time{}, opening: map[string]bool{}}
	defer k.work.Wait()
	ticker := time.NewTicker(armEvery)
	defer ticker.Stop()
	looked := time.Now()
	for {
		switch err := k.look(ctx); {
		case err == nil:
			looked = time.Now()
		case ctx.Err() == nil && time.Since(looked) > armLease:
			// Which sessions are still nobody's is not known any more.
			b.Shells.Keep(ctx, nil)
			fallthrough
		default:
			b.Log.WithError(err).Debug("cannot look which sessions to keep a shell in")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(armPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-b.rearm:
		}
	}
}

// keeper is what KeepArmed keeps in mind. One goroutine looks; those that open
// shells report to it under mu.
type keeper struct {
	b      *Broker
	name   string
	places slots
	work   sync.WaitGroup

	mu sync.Mutex
	// opening are the sessions in which a shell is being opened, failed those in which
	// none would, and when.
	opening map[string]bool
	failed  map[string]time.Time
}

// look leases the heads of the queues, has shells opened there, and closes all others.
func (k *keeper) look(ctx context.Context) error {
	tasks := armedPools(k.b.Registry.Resources())
	pools := slices.Sorted(maps.Keys(tasks))
	bounds := k.b.o.Bounds
	most := bounds.ArmedPerPool
	if len(pools) > 0 {
		// Where there are more pools than shells some go without.
		pools = pools[:min(len(pools), bounds.Armed)]
		most = min(most, bounds.Armed/len(pools))
	}
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	leased, err := k.b.Store.Arm(call, k.name, pools, most, armLease)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, ids := range leased {
		for _, id := range ids {
			keep[id] = true
		}
	}
	k.b.Shells.Keep(ctx, keep)
	for _, pool := range pools {
		armed := k.b.Shells.Armed(pool)
		for _, id := range leased[pool] {
			if !slices.Contains(armed, id) && k.may(id) {
				k.open(ctx, id, tasks[pool])
			}
		}
	}
	return nil
}

// armedPools are the pools of images with an assign hook, with its task.
func armedPools(r staging.Resources) map[string]string {
	tasks := map[string]string{}
	for name, c := range r.Configs {
		if hook := r.Images[c.Image].ExecConfig.Assign; hook != nil {
			tasks[name] = hook.Task
		}
	}
	return tasks
}

// may reports whether a shell is to be opened in a session now, and notes that it is.
func (k *keeper) may(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opening[id] || time.Since(k.failed[id]) < armAgain || !k.places.try() {
		return false
	}
	k.opening[id] = true
	return true
}

func (k *keeper) open(ctx context.Context, id, task string) {
	k.work.Go(func() {
		defer k.places.free()
		call, cancel := context.WithTimeout(ctx, armTimeout)
		defer cancel()
		s, err := k.b.Store.Session(call, id)
		if err == nil && s.State == staging.Ready {
			err = k.b.Shells.Arm(call, s, cmp.Or(task, s.Task))
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.opening, id)
		maps.DeleteFunc(k.failed, func(_ string, at time.Time) bool { return time.Since(at) > armAgain })
		if err != nil && ctx.Err() == nil {
			k.failed[id] = time.Now()
			k.b.Log.WithError(err).WithFields(logrus.Fields{logfield.Session: id}).
				Debug("no shell could be opened ahead of time; the assign hook will open its own")
		}
		// The next one may have waited for this one's place.
		k.b.wantArmed()
	})
}
