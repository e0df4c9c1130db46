package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// The rule of this file needs no record of greenroom: no allocation that served a user
// stopped before its user ended it, its terms did, or the nemesis killed its node.

// ends is what Nomad shows of how sessions end.
type ends struct {
	nomad *nomadapi.Client
	mu    sync.Mutex
	// first is the first allocation of each job, which is the session.
	first map[string]*nomadapi.AllocationListStub
	seen  map[string]end
}

// end is how a session's allocation stopped, and when it began to.
type end struct {
	at  time.Time
	why string
}

// watchEnds reads all allocations of Nomad every second until the test ends. An ended job
// stays in Nomad for much longer than that.
func watchEnds(t *testing.T, nomad *nomadapi.Client) *ends {
	t.Helper()
	e := &ends{nomad: nomad, first: map[string]*nomadapi.AllocationListStub{}, seen: map[string]end{}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			e.look(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return e
}

// look reads all allocations once. A Nomad that does not answer shows them later.
func (e *ends) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	all, _, err := e.nomad.Allocations().List((&nomadapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range all {
		if !strings.HasPrefix(a.JobID, staging.SessionPrefix) {
			continue
		}
		if known := e.first[a.JobID]; known == nil || a.CreateIndex <= known.CreateIndex {
			e.first[a.JobID] = a
		}
	}
	for session, a := range e.first {
		if _, known := e.seen[session]; !known && stopped(a) {
			e.seen[session] = endOf(a)
		}
	}
}

func stopped(a *nomadapi.AllocationListStub) bool {
	switch a.ClientStatus {
	case nomadapi.AllocClientStatusComplete, nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost:
		return true
	}
	return a.DesiredStatus != nomadapi.AllocDesiredStatusRun
}

// endOf returns when an allocation began to stop, and everything that Nomad says about why.
// Without an event of its task that is the time of its last change, which is later.
func endOf(a *nomadapi.AllocationListStub) end {
	at := time.Unix(0, a.ModifyTime)
	why := []string{a.DesiredStatus, a.DesiredDescription, a.ClientStatus, a.ClientDescription}
	for _, task := range a.TaskStates {
		restarting := false
		for _, event := range task.Events {
			why = append(why, event.Type+": "+event.DisplayMessage)
			switch event.Type {
			case nomadapi.TaskRestartSignal:
				restarting = true
			case nomadapi.TaskStarted, nomadapi.TaskKilling:
				restarting = false
			}
			// A task that terminates for a restart is not the end, also if the restart has not
			// come to its start yet.
			began := event.Type == nomadapi.TaskKilling || event.Type == nomadapi.TaskTerminated && !restarting
			if when := time.Unix(0, event.Time); began && when.Before(at) && when.After(task.LastRestart) {
				at = when
			}
		}
	}
	return end{at, strings.Join(why, "; ")}
}

// The terms of the group torture.
const (
	tortureKeepalive = 20 * time.Second
	tortureLimit     = 40 * time.Second
)

// harmed returns each session that stopped under its user. A session that no launch's
// answer named had no user: its launch may have been given up.
func (h *history) harmed(e *ends, faults []fault) (problems []string) {
	e.look(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	for session, u := range h.uses() {
		end, stopped := e.seen[session]
		switch {
		case !stopped, u.ended(end.at), killedBy(faults, end.at):
		default:
			problems = append(problems, fmt.Sprintf(
				"the allocation of session %s stopped under its user %s, %.1f s after the launch and %.1f s after the last keepalive: %s",
				session, u.user, end.at.Sub(u.called).Seconds(), end.at.Sub(u.alive).Seconds(), end.why))
		}
	}
	return problems
}

// killedBy reports whether the nemesis killed the sessions' node around a time.
func killedBy(faults []fault, at time.Time) bool {
	for _, f := range faults {
		if f.kind == clientKilledKind && at.After(f.began) && at.Before(f.at.Add(10*time.Second)) {
			return true
		}
	}
	return false
}

// use is what the callers did with a session.
type use struct {
	user string
	// called is when its launch began, alive when the last keepalive that was answered was
	// sent. Its terms cannot end the session before these are over.
	called, alive time.Time
	// asked is when its user asked for its end; zero for never.
	asked time.Time
}

// ended reports whether the session's user or its terms may have ended it at a time.
func (u use) ended(at time.Time) bool {
	switch {
	case !u.asked.IsZero() && !at.Before(u.asked):
		return true
	case !at.Before(u.called.Add(tortureLimit)):
		return true
	}
	return !at.Before(u.alive.Add(tortureKeepalive))
}

// uses returns what the callers did with each session that a launch returned.
func (h *history) uses() map[string]use {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]use{}
	for _, o := range h.ops {
		u, known := all[o.session]
		if !known || o.called.Before(u.called) {
			u.user, u.called = o.user, o.called
		}
		u.alive, u.asked = u.called, h.asked[o.session]
		if kept := h.kept[o.session]; kept.After(u.alive) {
			u.alive = kept
		}
		all[o.session] = u
	}
	return all
}
