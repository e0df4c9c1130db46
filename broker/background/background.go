// Package background runs what an answer does not wait for.
//
// It promises a bound on how much runs at once, and that Wait returns only when all of
// it has ended. Each task has a deadline of its own.
package background

import (
	"golang.org/x/sync/errgroup"
)

// Group runs tasks in the background. It may be used concurrently.
type Group struct{ tasks errgroup.Group }

// New returns a group that runs at most limit tasks at once.
func New(limit int) *Group {
	g := &Group{}
	g.tasks.SetLimit(limit)
	return g
}

// Go runs a task in the background, or, at the limit, in the caller's goroutine: a
// caller that must not lose the task pays for it with time.
func (g *Group) Go(task func()) {
	if !g.TryGo(task) {
		task()
	}
}

// TryGo runs a task in the background and reports true; at the limit it runs nothing
// and reports false. It is for tasks that another process does as well.
func (g *Group) TryGo(task func()) bool {
	return g.tasks.TryGo(func() error {
		task()
		return nil
	})
}

// Wait returns when all tasks have ended. No task may be started afterwards.
func (g *Group) Wait() { _ = g.tasks.Wait() } // tasks handle their own errors
