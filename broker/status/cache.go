package status

import (
	"context"
	"sync"
	"time"
)

// maxAge is how old a cached value may be: however often callers call, the servers are read
// once a second at most.
const maxAge = time.Second

// cache holds the last value of something that is costly to read. One caller reads it for
// all that call meanwhile. The zero value is empty.
type cache[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
}

// get returns the cached value, or reads it where it is older than maxAge. The read is not
// cancelled with ctx, since other callers wait for the same value; it must have a deadline.
func (c *cache[T]) get(ctx context.Context, read func(context.Context) T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > maxAge {
		c.value, c.at = read(context.WithoutCancel(ctx)), time.Now()
	}
	return c.value
}
