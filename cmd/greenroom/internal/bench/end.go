package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// endsAtOnce bounds the sessions that are ended at the same time. Each has endTries
	// attempts, with endPause between them.
	endsAtOnce = 16
	endTries   = 5
	endPause   = time.Second
	// endTimeout bounds the end of one session, with all attempts.
	endTimeout = endTries * (client.CallTimeout + endPause)
)

// ends ends sessions, each after its dwell or, where that is 0, at the flush.
type ends struct {
	client *client.Client
	dwell  time.Duration
	// over is done when the rest of every dwell is skipped.
	over  context.Context
	slots chan struct{}
	wg    sync.WaitGroup

	mu   sync.Mutex
	held []string
	done map[string]bool
	errs []error
}

// newEnds returns an ends that skips the rest of every dwell once ctx is done; it still
// ends the sessions.
func newEnds(ctx context.Context, c *client.Client, dwell time.Duration) *ends {
	return &ends{client: c, dwell: dwell, over: ctx, slots: make(chan struct{}, endsAtOnce), done: map[string]bool{}}
}

// after ends a session that was just launched, after the dwell or at the flush.
func (e *ends) after(id string) {
	if e.dwell == 0 {
		e.mu.Lock()
		e.held = append(e.held, id)
		e.mu.Unlock()
		return
	}
	e.wg.Go(func() {
		timer := time.NewTimer(e.dwell)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-e.over.Done():
		}
		e.end(id)
	})
}

// flush ends the sessions without a dwell, and returns once every session has ended or
// its attempts are used up.
func (e *ends) flush() {
	e.mu.Lock()
	held := e.held
	e.held = nil
	e.mu.Unlock()
	for _, id := range held {
		e.wg.Go(func() { e.end(id) })
	}
	e.wg.Wait()
}

// end ends one session, also after the command's context is done: no session may be left.
func (e *ends) end(id string) {
	e.slots <- struct{}{}
	defer func() { <-e.slots }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.over), endTimeout)
	defer cancel()
	var err error
	for try := range endTries {
		if try > 0 && !sleep(ctx, endPause) {
			break
		}
		if err = e.try(ctx, id); err == nil {
			break
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done[id] = err == nil
	if err != nil {
		e.errs = append(e.errs, fmt.Errorf("session %s is left: %w", id, err))
	}
}

// try makes one attempt. A session that is not found has ended.
func (e *ends) try(ctx context.Context, id string) error {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := e.client.EndSessionWithResponse(ctx, id)
	err = e.client.Answered(r, err, http.StatusNoContent)
	var p *client.ProblemError
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// end ends the run's sessions, also those whose launch was not answered. It returns how
// many ended, how long that took, and an error that names one that is left.
func (b *bench) end() (ended int, seconds float64, err error) {
	began := time.Now()
	b.ends.flush()
	if b.given.unsure {
		err = b.sweep(context.WithoutCancel(b.ends.over))
	}
	for _, ok := range b.ends.done {
		if ok {
			ended++
		}
	}
	if n := len(b.ends.errs); n > 0 {
		err = errors.Join(err, fmt.Errorf("%s not ended, for example: %w; see them with greenroom sessions", staging.Count(n, "session"), b.ends.errs[0]))
	}
	return ended, time.Since(began).Seconds(), err
}

// sweep ends the sessions of the run's users that no answer named.
func (b *bench) sweep(ctx context.Context) error {
	all, err := b.ListSessions(ctx, httpapi.ListSessionsParams{})
	if err != nil {
		return fmt.Errorf("sessions of users named %s-... may be left: %w", b.name, err)
	}
	for _, s := range all.Items {
		if _, known := b.ends.done[s.ID]; !known && s.User != nil && strings.HasPrefix(s.User.ID, b.name+"-") {
			b.ends.wg.Go(func() { b.ends.end(s.ID) })
		}
	}
	b.ends.wg.Wait()
	return nil
}
