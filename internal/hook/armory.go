package hook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Armory is a set of shells that were opened in sessions ahead of time, one per session.
// A launch that takes one saves the time to open it. Armory is safe for concurrent use.
// Each shell holds a connection to Nomad, so the caller of Arm must bound their number.
type Armory struct {
	Runner Runner

	mu     sync.Mutex
	shells map[string]*armedShell
	// used counts the shells in which a hook has run and that are not closed.
	used   int
	closed bool
	// work waits for the probes in flight, and for the shells that end.
	work sync.WaitGroup
}

// armedShell is one shell of the armory.
type armedShell struct {
	shell *Shell
	pool  string
	task  string
	// restarts are the session's when the shell was opened: a shell of an earlier start of
	// its main task must not be used.
	restarts int
	// probing is set while a probe is in flight, and nobody may take the shell then.
	probing bool
	// lastAlive is when the shell was opened or last probed.
	lastAlive time.Time
}

// Arm opens a shell in a task of the session and keeps it, unless the session has one
// already. An error means that no shell was opened.
func (a *Armory) Arm(ctx context.Context, session staging.Session, task string) error {
	a.mu.Lock()
	have := a.shells[session.ID]
	outdated := have != nil && have.restarts != session.Restarts && !have.probing
	if outdated {
		delete(a.shells, session.ID)
	}
	a.mu.Unlock()
	if outdated {
		have.shell.Close()
	} else if have != nil {
		return nil
	}
	shell, err := a.Runner.Arm(ctx, session, task)
	if err != nil {
		return err
	}
	a.mu.Lock()
	unneeded := a.closed || a.shells[session.ID] != nil
	if !unneeded {
		if a.shells == nil {
			a.shells = map[string]*armedShell{}
		}
		a.shells[session.ID] = &armedShell{shell: shell, pool: session.Staging, task: task, restarts: session.Restarts, lastAlive: time.Now()}
	}
	a.mu.Unlock()
	if unneeded {
		shell.Close()
	}
	return nil
}

// Armed returns the ids of a pool's sessions that have an open shell, in order.
func (a *Armory) Armed(pool string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for id, s := range a.shells {
		if s.pool == pool && !s.shell.hasEnded() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Count returns the number of shells.
func (a *Armory) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.shells)
}

// Take removes and returns the shell in a task of the session, or nil if there is none, or
// if it was opened before the last restart of the main task. The caller must use the shell
// or close it.
func (a *Armory) Take(session staging.Session, task string) *Shell {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.shells[session.ID]
	if s == nil || s.probing || s.task != task || s.restarts != session.Restarts || s.shell.hasEnded() {
		return nil
	}
	delete(a.shells, session.ID)
	return s.shell
}

// Discard takes back a shell in which a hook has run, and closes it in the background once it has
// ended: Nomad may leave the process of an exec whose connection is closed before.
func (a *Armory) Discard(s *Shell) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used == maxUsed {
		a.work.Go(s.Close)
		return
	}
	a.used++
	a.work.Go(func() {
		timer := time.NewTimer(usedFor)
		defer timer.Stop()
		select {
		case <-s.ended:
		case <-timer.C:
		}
		s.Close()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.used--
	})
}

// maxUsed bounds the used shells that end in their own time: each holds a connection. usedFor is how
// long one may take, after its stdin has ended: Docker's driver notices it within 0.1 s.
const (
	maxUsed = 256
	usedFor = time.Second
)

// Keep closes the shells of all sessions that are not in sessions, and the shells that
// have ended. It also probes each shell every probeInterval in the background, and closes those
// that do not answer.
func (a *Armory) Keep(ctx context.Context, sessions map[string]bool) {
	a.mu.Lock()
	var closing []*Shell
	for id, s := range a.shells {
		switch {
		case s.probing:
		case !sessions[id] || s.shell.hasEnded():
			delete(a.shells, id)
			closing = append(closing, s.shell)
		case time.Since(s.lastAlive) > probeInterval:
			s.probing = true
			a.work.Go(func() { a.probe(ctx, id, s) })
		}
	}
	a.mu.Unlock()
	for _, s := range closing {
		s.Close()
	}
}

// A shell is probed every probeInterval, and is lost if it does not answer within
// probeTimeout.
const (
	probeInterval = 5 * time.Second
	probeTimeout  = 2 * time.Second
)

func (a *Armory) probe(ctx context.Context, id string, s *armedShell) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	alive := s.shell.Alive(ctx)
	a.mu.Lock()
	s.probing, s.lastAlive = false, time.Now()
	lost := !alive || a.closed
	if lost {
		delete(a.shells, id)
	}
	a.mu.Unlock()
	if lost {
		s.shell.Close()
	}
}

// Close closes every shell. After it, Arm keeps no shell.
func (a *Armory) Close() {
	a.mu.Lock()
	a.closed = true
	shells := a.shells
	a.shells = nil
	a.mu.Unlock()
	for _, s := range shells {
		s.shell.Close()
	}
	a.work.Wait()
}
