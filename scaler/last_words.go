package scaler

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// A program that exits says why on its standard error. Nomad has that until the allocation is
// removed, so it is read when the session is retired: for one session of a pool at a time, since
// those that crash together crash for the same reason.

// lastWordsTimeout bounds the read of a log, which only adds to a reason.
const lastWordsTimeout = 2 * time.Second

// lastWords are what the program of a session that crashed wrote last.
type lastWords struct{ session, line string }

// String returns the words for a condition; "" for none.
func (w lastWords) String() string {
	if w.line == "" {
		return ""
	}
	return "the last line of stderr of session " + w.session + ": " + w.line
}

// withLastWords adds to the reason for which a session is retired what its program wrote last.
func withLastWords(reason, line string) string {
	if line == "" {
		return reason
	}
	return reason + "; the last line of its stderr: " + line
}

// readsLastWords returns the task of a session whose last words its retirement reads; "" for
// none: it did not crash, or those of another session of its pool are being read.
func (v *view) readsLastWords(e *entry) string {
	p := v.pools[e.s.Staging]
	if p == nil || p.readingWords || e.failed() == nil || e.failed().Type != staging.CrashLooping || e.s.AllocID == "" {
		return ""
	}
	p.readingWords = e.failedTask != ""
	return e.failedTask
}

// noteLastWords takes over what readsLastWords had a step read.
func (v *view) noteLastWords(t task, line string) {
	p := v.pools[t.pool]
	if p == nil {
		return
	}
	p.readingWords, p.lastWords = false, lastWords{t.session.ID, line}
	v.dirtyPools[p.config.Name] = true
}

// lastWords reads what the program of a session that crashed wrote last; "" where it cannot.
func (s *Scaler) lastWords(ctx context.Context, t task) string {
	if t.failedTask == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lastWordsTimeout)
	defer cancel()
	line, err := s.Fleet.LastLine(ctx, t.session, staging.AllocFacts{ID: t.session.AllocID, NodeID: t.session.NodeID}, t.failedTask)
	if err != nil {
		s.Log.WithError(err).WithField(logfield.Session, t.session.ID).Debug("cannot read why a session's program ended; its reason lacks its last line")
	}
	return line
}
