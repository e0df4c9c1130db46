package scaler

import (
	"context"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// A program that exits says why on its standard error, and Nomad notes what happened to its
// tasks. Nomad has that until the allocation is removed, so it is read when the session is
// retired: for one session of a pool at a time, since those that fail together fail for the same
// reason. It is read for every session on demand
// that crashed before it was up: each had its own user, whose launch may have been answered
// before, and the scaler may be faster than the broker that waits for it.

// lastWordsTimeout bounds the reads of last words, which only add to a reason.
const lastWordsTimeout = 2 * time.Second

// How many lines of a standard error are in a session's reason, which lists show, and in a
// condition. The pool's last failure and the event have more.
const (
	reasonLines    = 1
	conditionLines = 3
)

// wordsOf are the last words that a step reads.
type wordsOf struct {
	// task is the one whose standard error is read; "" for none.
	task string
	// why is the failure. crashed: its program has run and ended by itself, and the reason has
	// what it wrote last.
	why     staging.Failure
	crashed bool
}

// withLastWords adds to the reason for which a session is retired or ended what its program wrote
// last.
func withLastWords(reason string, of *wordsOf, words staging.LastWords) string {
	if of == nil || !of.crashed {
		return reason
	}
	if said := staging.Said(newest(words.Stderr, reasonLines), ""); said != "" {
		return reason + "; " + said
	}
	return reason
}

// newest returns the last of some lines, at most as many as most.
func newest(lines []string, most int) []string { return lines[max(0, len(lines)-most):] }

// readsLastWords returns the last words that the retirement of a session reads; nil for none: it
// did not fail, or those of another session of its pool are being read. why is the failure that
// the step states; nil where the session's own counts.
func (v *view) readsLastWords(e *entry, why *staging.Failure) *wordsOf {
	p := v.pools[e.s.Staging]
	if why == nil {
		why = e.failed()
	}
	if p == nil || p.readingWords || why == nil || e.s.AllocID == "" {
		return nil
	}
	p.readingWords = true
	of := &wordsOf{why: *why}
	switch why.Type {
	case staging.CrashLooping:
		of.task, of.crashed = e.failedTask, e.failedTask != ""
	case staging.Unhealthy:
		of.task = e.s.Task
	}
	return of
}

// endsUnseen returns the last words of a session on demand that crashed before its user had it;
// nil for any other. What a user's program writes is not for a reason, which operators read.
func (e *entry) endsUnseen() *wordsOf {
	if e.s.Origin != staging.OnDemand || !e.s.State.Unassigned() || !e.crashed() || e.failedTask == "" {
		return nil
	}
	return &wordsOf{task: e.failedTask, why: *e.failed(), crashed: true}
}

// crashed: its program has run and ended by itself.
func (e *entry) crashed() bool {
	why := e.failed()
	return why != nil && why.Type == staging.CrashLooping && e.s.AllocID != ""
}

// noteLastWords takes over what readsLastWords had a step read. After an error the step is repeated,
// and they are read again.
func (v *view) noteLastWords(t task, r result, now time.Time) {
	p, words := v.pools[t.pool], r.lastWords
	if p == nil || t.step.Kind != Retire {
		return
	}
	if p.readingWords = false; r.err != nil {
		return
	}
	p.lastFailure = &staging.PoolFailure{
		Session: t.session.ID, At: now.UTC(), Reason: t.words.why.Message, Node: t.session.NodeID,
		Task: t.words.task, Stderr: words.Stderr, TaskEvents: words.TaskEvents,
	}
	p.lastWords = ""
	if t.words.crashed {
		p.lastWords = staging.Said(newest(words.Stderr, conditionLines), t.session.ID)
	}
	v.dirtyPools[p.config.Name] = true
}

// lastWords reads what a session that failed leaves to read; nothing where it cannot.
func (s *Scaler) lastWords(ctx context.Context, t task) staging.LastWords {
	if t.words == nil {
		return staging.LastWords{}
	}
	ctx, cancel := context.WithTimeout(ctx, lastWordsTimeout)
	defer cancel()
	words, err := s.Fleet.LastWords(ctx, t.session, staging.AllocFacts{ID: t.session.AllocID, NodeID: t.session.NodeID}, t.words.task)
	if err != nil {
		s.Log.WithError(err).WithField(logfield.Session, t.session.ID).Debug("cannot read all that a session that failed left to read; its reason lacks it")
	}
	return words
}

// noteFailed keeps the event that a session of a pool failed, with its last words. Where it cannot,
// the pool's last failure has them.
func (s *Scaler) noteFailed(ctx context.Context, t task, words staging.LastWords) {
	if t.words == nil {
		return
	}
	x := t.session
	err := s.EventStore.Note(ctx, staging.Event{
		Type: staging.EventFailed, Session: x.ID, Pool: x.Staging, Zone: x.Zone, Image: x.Image, Reason: t.words.why.Message,
		Stderr: strings.Join(words.Stderr, "\n"), TaskEvents: words.TaskEvents,
	})
	if err != nil {
		s.Log.WithError(err).WithField(logfield.Session, x.ID).Warn("could not keep the event of a session that failed; its pool shows why")
	}
}
