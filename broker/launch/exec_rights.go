package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// hookedImage is where a right counts: the zone has the namespace, the image the driver.
type hookedImage struct{ image, zone string }

// execRight is what the last attempt has shown.
type execRight struct {
	revision string
	// denied is Nomad's refusal; nil: hooks may run.
	denied error
	at     time.Time
}

const (
	// openTimeout bounds the opening of a shell before a fate is decided, while the claim lasts.
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
	b.rights.known[hookedImage{s.Image, s.Zone}] = execRight{revision: s.Revision, denied: err, at: time.Now()}
}

// DeniedHooks says of which images, in which zones, Nomad denies this broker the assign hook.
func (b *Launcher) DeniedHooks() []string {
	resources := b.Resources.Resources()
	b.rights.mu.Lock()
	defer b.rights.mu.Unlock()
	var all []string
	order := func(x, y hookedImage) int {
		return strings.Compare(x.image+"\x00"+x.zone, y.image+"\x00"+y.zone)
	}
	for _, at := range slices.SortedFunc(maps.Keys(b.rights.known), order) {
		r := b.rights.known[at]
		if r.denied != nil && time.Since(r.at) < deniedFor && resources.Images[at.image].ExecConfig.Assign != nil {
			all = append(all, fmt.Sprintf("image %s in zone %s: %v; its sessions that are ready are not given", at.image, at.zone, r.denied))
		}
	}
	return all
}

// right returns what is known of an image in a zone.
func (r *execRights) right(image, zone string) (execRight, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	right, known := r.known[hookedImage{image, zone}]
	return right, known
}

// mayRun reports whether it is known that a hook may run in a session.
func (r *execRights) mayRun(s staging.Session) bool {
	right, known := r.right(s.Image, s.Zone)
	return known && right.denied == nil && right.revision == s.Revision
}

// deniedLately returns a refusal that is so recent that it need not be tried again.
func (r *execRights) deniedLately(image, zone string) error {
	if right, _ := r.right(image, zone); time.Since(right.at) < triedEvery {
		return right.denied
	}
	return nil
}

// openUnlessKnown opens a shell in those of the sessions of which it is not known that a hook may
// run there, one for each image and zone, and returns Nomad's refusal. prepared is that of a single
// session. Other failures are left to the run of the hook.
func (l *launch) openUnlessKnown(ctx context.Context, taken []staging.Session, hooks []*staging.Hook, prepared Assignment) error {
	for i, s := range taken {
		if hooks[i] == nil || l.rights.mayRun(s) {
			continue
		}
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
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err := prepared.Open(ctx)
	l.NoteShell(s, err)
	return err
}

// hookDenied ends the tries of a candidate whose assign hook is denied. A launch of one goes on
// down its list, to sessions that need no assign hook, and names the right if none serves.
func (l *launch) hookDenied(denied error) error {
	l.denied = denied
	if !l.Several() {
		return nil
	}
	return &refusal.Error{Kind: refusal.LaunchFailed, Cause: denied, Detail: "no session was given"}
}

// namesRight adds to a launch's refusal the right for lack of which it got no session that is ready.
func (l *launch) namesRight(e *refusal.Error) {
	if l.denied != nil {
		e.Detail += "; sessions are ready, and the assign hook is denied in them: " + l.denied.Error()
	}
}
