package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// execRights remembers whether Nomad lets this broker run the assign hooks of images in zones. A
// fate record cannot be undone, so a session whose hook is denied after it is lost. Where it is not
// known that hooks may run, a launch opens its shell before the fate is decided: a session in which
// that is denied is unused, and goes back.
type execRights struct {
	mu    sync.Mutex
	known map[hookedImage]execRight
}

// hookedImage is where a right counts: the zone has the namespace, and the revision of the image the
// driver.
type hookedImage struct{ image, zone, revision string }

// execRight is what the last attempt has shown.
type execRight struct {
	// denied is Nomad's refusal; nil: hooks may run.
	denied error
	at     time.Time
}

const (
	// rightKept is how long a right is remembered that no attempt confirms.
	rightKept = time.Hour
	// openTimeout bounds the opening of shells before a launch's fates are decided, while its claim
	// lasts.
	openTimeout = 5 * time.Second
	// deniedFor is how long a refusal is shown that nothing has confirmed: shells that are opened
	// ahead of time do that while sessions are ready.
	deniedFor = 10 * time.Minute
	// triedEvery is how often launches try a pool whose hooks are denied: others skip it. A scaler may
	// replace a session while it is claimed, and ends one when it is back.
	triedEvery = 10 * time.Second
)

// errHookDenied: Nomad denies this broker the assign hook.
var errHookDenied = errors.New("the broker's token may not run the assign hook")

// NoteShell remembers whether Nomad let this broker open a shell in a session. err is what came of
// it; one that is no refusal shows nothing.
func (b *Launcher) NoteShell(s staging.Session, err error) {
	denied := errors.Is(err, staging.ErrExecDenied)
	if err != nil && !denied {
		return
	}
	b.rights.mu.Lock()
	defer b.rights.mu.Unlock()
	if b.rights.known == nil {
		b.rights.known = map[hookedImage]execRight{}
	}
	maps.DeleteFunc(b.rights.known, func(_ hookedImage, r execRight) bool { return time.Since(r.at) > rightKept })
	b.rights.known[hookedImage{s.Image, s.Zone, s.Revision}] = execRight{denied: err, at: time.Now()}
}

// DeniedHooks says of which images, in which zones, Nomad denies this broker the assign hook.
func (b *Launcher) DeniedHooks() []string {
	resources := b.Resources.Resources()
	b.rights.mu.Lock()
	defer b.rights.mu.Unlock()
	var all []string
	for at := range b.rights.known {
		if denied := b.rights.deniedWithin(deniedFor, at.image, at.zone); denied != nil && resources.Images[at.image].ExecConfig.Assign != nil {
			all = append(all, fmt.Sprintf("image %s in zone %s: %v; its sessions that are ready are not given", at.image, at.zone, denied))
		}
	}
	slices.Sort(all)
	return slices.Compact(all) // of each revision one
}

// mayRun reports whether it is known that a hook may run in a session.
func (r *execRights) mayRun(s staging.Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	right, known := r.known[hookedImage{s.Image, s.Zone, s.Revision}]
	return known && right.denied == nil
}

// deniedLately returns a refusal of an image in a zone that is so recent that it need not be tried
// again.
func (r *execRights) deniedLately(image, zone string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deniedWithin(triedEvery, image, zone)
}

// deniedWithin returns a refusal of an image in a zone that is no older; nil where hooks may run in
// a revision: the pool may have sessions of that. The caller holds the mutex.
func (r *execRights) deniedWithin(age time.Duration, image, zone string) (denied error) {
	for at, right := range r.known {
		switch {
		case at.image != image || at.zone != zone:
		case right.denied == nil:
			return nil
		case time.Since(right.at) < age:
			denied = right.denied
		}
	}
	return denied
}

// openUnlessKnown opens a shell in those of the sessions of which it is not known that a hook may
// run there, one for each zone and revision, and returns Nomad's refusal. prepared is that of a
// single session. Other failures are left to the run of the hook.
func (l *launch) openUnlessKnown(ctx context.Context, taken []staging.Session, hooks []*staging.Hook, prepared Assignment) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	tried := map[hookedImage]bool{}
	for i, s := range taken {
		at := hookedImage{s.Image, s.Zone, s.Revision}
		if hooks[i] == nil || tried[at] || l.rights.mayRun(s) {
			continue
		}
		tried[at] = true
		if err := l.open(ctx, s, *hooks[i], prepared); errors.Is(err, staging.ErrExecDenied) {
			return err
		}
	}
	return nil
}

func (l *launch) open(ctx context.Context, s staging.Session, h staging.Hook, prepared Assignment) error {
	start := time.Now()
	defer func() { l.timings.Hook += time.Since(start) }()
	if prepared == nil {
		prepared = l.Hooks.Ready(ctx, s, h)
		defer prepared.Drop()
	}
	err := prepared.Open(ctx)
	l.NoteShell(s, err)
	return err
}

// namesRight adds to a launch's refusal for want of a session the right that was denied on the way.
func (l *launch) namesRight(e *refusal.Error) {
	if l.denied != nil && (e.Kind == refusal.NoCapacity || e.Kind == refusal.LaunchFailed) {
		e.Detail += "; a pool was passed over, since the assign hook is denied there: " + l.denied.Error()
	}
}
