package scaler

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// applyEvent folds an event from Redis into the view.
func (v *view) applyEvent(ev staging.Event, now time.Time) {
	state, isTransition := ev.Type.State()
	if !isTransition {
		v.countAssignHookFailure(ev, now)
		return
	}
	e := v.entry(ev.Session, now)
	e.seenIn(state, now)
	e.s.State = state
	if ev.Type == staging.EventClaimed || ev.Type == staging.EventAssigned {
		e.fateAbsent = false
	}
	if state == staging.Ended && e.endedNoticedAt.IsZero() {
		e.endedNoticedAt = now
	}
	e.request = cmp.Or(ev.RequestID, e.request)
	if ev.Pool != "" {
		e.s.Staging, e.s.Origin = ev.Pool, staging.Staged
	}
	if p := v.pools[ev.Pool]; p != nil {
		switch ev.Type {
		case staging.EventReady:
			// A session that was made before the failure does not disprove it. When it was
			// made counts on this scaler's clock.
			if p.backoff.paused() && e.seenAt.After(p.backoff.At) {
				p.backoff.ReadyAt = now
			}
		case staging.EventAssigned:
			p.assignHook = Backoff{}
			v.dirtyPools[ev.Pool] = true
		}
	}
	e.claimRead = e.claimRead && ev.Type != staging.EventClaimed
	if ev.Type == staging.EventClaimed || ev.Type == staging.EventEnding || ev.Type == staging.EventRetiring {
		e.touchedAt = now
	}
	v.updateMembership(e)
	v.markDirty(e)
}

// countAssignHookFailure counts an assign hook that failed. A first_launch hook's
// failure is known from the step that ran it.
func (v *view) countAssignHookFailure(ev staging.Event, now time.Time) {
	p := v.pools[ev.Pool]
	if p == nil || ev.Type != staging.EventHookFailed || ev.Hook != staging.HookAssign {
		return
	}
	p.assignHook = Backoff{
		Failures: p.assignHook.Failures + 1, At: now, Last: &staging.Failure{Type: staging.HookFailing, Message: withStderr(ev.Reason, ev.Stderr)},
	}
	v.dirtyPools[ev.Pool] = true
}

// maxStderr bounds what a condition or remark has of a hook's standard error, in bytes.
const maxStderr = 300

// withStderr adds to the reason of a failed hook the end of what it wrote to its standard error,
// on one line.
func withStderr(reason, stderr string) string {
	line := strings.Join(strings.Fields(strings.ToValidUTF8(stderr, "?")), " ")
	if line == "" || strings.Contains(reason, line) {
		return reason
	}
	if over := len(line) - maxStderr; over > 0 {
		line = "…" + strings.ToValidUTF8(line[over:], "")
	}
	return reason + "; the end of its stderr: " + line
}

// remark says that the pool's assign hook failed, before that is a condition: the next launch
// may show that it was one user's bad luck.
func (p *pool) remark() string {
	if n := p.assignHook.Failures; n > 0 && n < hookFailureThreshold {
		return fmt.Sprintf("a session was destroyed instead of given to its user, %d in a row: %s", n, p.assignHook.Last.Message)
	}
	return ""
}
