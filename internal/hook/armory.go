package hook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Armory keeps shells that were opened in sessions ahead of time, one a session. It
// may be used concurrently. Each shell holds a connection to Nomad: whoever arms
// bounds how many.
type Armory struct {
	Runner Runner

	mu     sync.Mutex
	shells map[string]*kept
	closed bool
	// asks are the questions under way.
	asks sync.WaitGroup
}

// kept is one shell of the armory.
type kept struct {
	shell *Shell
	pool  string
	task  string
	// asked: it is being asked whether it lives.
	asked bool
	// heard is when it last said a word.
	heard time.Time
}

// Arm opens a shell in a task of the session, unless there is one. An error says that
// there is none, and why.
func (a *Armory) Arm(ctx context.Context, session staging.Session, task string) error {
	a.mu.Lock()
	have := a.shells[session.ID] != nil
	a.mu.Unlock()
	if have {
		return nil
	}
	shell, err := a.Runner.Arm(ctx, session, task)
	if err != nil {
		return err
	}
	a.mu.Lock()
	superfluous := a.closed || a.shells[session.ID] != nil
	if !superfluous {
		if a.shells == nil {
			a.shells = map[string]*kept{}
		}
		a.shells[session.ID] = &kept{shell: shell, pool: session.Staging, task: task, heard: time.Now()}
	}
	a.mu.Unlock()
	if superfluous {
		shell.Close()
	}
	return nil
}

// Armed names the sessions of a pool in which a shell waits.
func (a *Armory) Armed(pool string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for id, k := range a.shells {
		if k.pool == pool && !k.ended() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Count is how many shells wait.
func (a *Armory) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.shells)
}

// Take gives the shell that waits in a task of the session, to be used or closed; nil
// where none does.
func (a *Armory) Take(session, task string) *Shell {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.shells[session]
	if k == nil || k.asked || k.task != task || k.ended() {
		return nil
	}
	delete(a.shells, session)
	return k.shell
}

// Keep closes the shells of all sessions but those named, those that have ended, and
// those that do not answer when they are asked, which each is now and then.
func (a *Armory) Keep(ctx context.Context, sessions map[string]bool) {
	var gone []*Shell
	a.mu.Lock()
	for id, k := range a.shells {
		switch {
		case k.asked:
		case !sessions[id] || k.ended():
			delete(a.shells, id)
			gone = append(gone, k.shell)
		case time.Since(k.heard) > askEvery:
			k.asked = true
			a.asks.Go(func() { a.ask(ctx, id, k) })
		}
	}
	a.mu.Unlock()
	for _, s := range gone {
		s.Close()
	}
}

// A shell that is silent for longer than it takes to answer is taken for lost.
const (
	askEvery = 5 * time.Second
	answerIn = 2 * time.Second
)

func (a *Armory) ask(ctx context.Context, id string, k *kept) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	alive := k.shell.Alive(ctx)
	a.mu.Lock()
	k.asked, k.heard = false, time.Now()
	lost := !alive || a.closed
	if lost {
		delete(a.shells, id)
	}
	a.mu.Unlock()
	if lost {
		k.shell.Close()
	}
}

// Close closes every shell. Nothing is armed any more.
func (a *Armory) Close() {
	a.mu.Lock()
	a.closed = true
	shells := a.shells
	a.shells = nil
	a.mu.Unlock()
	for _, k := range shells {
		k.shell.Close()
	}
	a.asks.Wait()
}

func (k *kept) ended() bool {
	select {
	case <-k.shell.Ended():
		return true
	default:
		return false
	}
}
