package launch

import (
	"context"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
)

// stopping is how a broker stops its launches. A launch that has claimed nothing is
// refused; one that has claimed a session is finished, since its hook may have begun.
type stopping struct {
	// begun is done when the broker begins to stop.
	begun context.Context
	begin context.CancelFunc

	mu sync.Mutex
	// underWay counts the launches; no launch is added once begun is done.
	underWay sync.WaitGroup
}

func newStopping() *stopping {
	s := &stopping{}
	s.begun, s.begin = context.WithCancel(context.Background())
	return s
}

// add counts a launch, which calls underWay.Done at its end. It returns false once the
// broker stops.
func (s *stopping) add() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now() {
		return false
	}
	s.underWay.Add(1)
	return true
}

// now reports whether the broker stops.
func (s *stopping) now() bool { return s.begun.Err() != nil }

// orDone returns a context that is also done when the broker stops. The caller calls
// cancel.
func (s *stopping) orDone(ctx context.Context) (c context.Context, cancel context.CancelFunc) {
	c, cancelCause := context.WithCancel(ctx)
	detach := context.AfterFunc(s.begun, cancelCause)
	return c, func() {
		detach()
		cancelCause()
	}
}

// retryElsewhere is the hint for a launch that another broker can serve now.
const retryElsewhere = time.Second

func brokerStops() *refusal.Error {
	return &refusal.Error{
		Kind: refusal.Stopping, RetryAfter: retryElsewhere,
		Detail: "this broker is stopping, and nothing was claimed: repeat the launch at another broker",
	}
}

// Drain refuses launches from now on, also those under way that have claimed nothing, and
// returns when those that have claimed a session are answered: nil then, else ctx's error.
// A launch that waits for a session on demand is answered with the session as it is; the
// scaler completes it. Drain may be called more than once.
func (b *Launcher) Drain(ctx context.Context) error {
	b.stopping.mu.Lock()
	b.stopping.begin()
	b.stopping.mu.Unlock()
	answered := make(chan struct{})
	go func() {
		b.stopping.underWay.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
