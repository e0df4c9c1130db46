package broker

import (
	"context"
	"sync/atomic"
	"time"
)

// suspicion remembers that a server did not answer, so that the next launch asks
// whether it does before it takes a session that it could then only destroy.
type suspicion struct{ raised atomic.Bool }

// suspectTimeout bounds the question: a launch that is to be refused should be soon.
const suspectTimeout = time.Second

// away asks a suspected server whether it answers, and gives why it does not.
func (s *suspicion) away(ctx context.Context, ping func(context.Context) error) error {
	if !s.raised.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, suspectTimeout)
	defer cancel()
	if err := ping(ctx); err != nil {
		return err
	}
	s.raised.Store(false)
	return nil
}

// raise notes that the server did not answer.
func (s *suspicion) raise() { s.raised.Store(true) }
