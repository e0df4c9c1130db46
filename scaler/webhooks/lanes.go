package webhooks

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Bounds of one webhook's deliveries.
const (
	// atOnce is how many messages are on their way at once, each of another session.
	atOnce = 8
	// firstPause is the pause after a first failure; it doubles with each further one, up to
	// lastPause.
	firstPause = time.Second
	lastPause  = 5 * time.Minute
	// downAfter is after how many failures without a success in between a receiver counts as
	// down: then one message at a time is tried, after a pause of up to lastProbe.
	downAfter = 2 * atOnce
	lastProbe = 30 * time.Second
)

// lane is the messages of one session, oldest first. Only the first is on its way.
type lane struct {
	key      string
	messages []staging.WebhookMessage
	// due is when the first may be sent.
	due  time.Time
	busy bool
}

// lanes orders a webhook's messages: those of one session one after another, those of
// different sessions beside each other. It has no clock and calls nothing.
type lanes struct {
	of map[string]*lane
	// ready are the lanes that are due, in the order in which they became so; paused those that
	// wait after a failure.
	ready  []*lane
	paused map[string]*lane
	// soonest is when the first of those that are paused is due.
	soonest time.Time
	// size counts all messages, busy those on their way.
	size, busy int
	// failures counts those without a success in between; probe is when the next message may
	// be tried while the receiver is down.
	failures int
	probe    time.Time
}

func newLanes() *lanes { return &lanes{of: map[string]*lane{}, paused: map[string]*lane{}} }

// add appends a message. Messages come in the order of their positions. What an earlier sender
// tried is tried again at once: the receiver or the webhook may have been mended.
func (l *lanes) add(m staging.WebhookMessage) {
	l.size++
	key := m.Key()
	in := l.of[key]
	if in == nil {
		in = &lane{key: key}
		l.of[key] = in
	}
	in.messages = append(in.messages, m)
	if len(in.messages) == 1 {
		l.ready = append(l.ready, in)
	}
}

// line puts a lane with messages where it waits.
func (l *lanes) line(in *lane, now time.Time) {
	if m := in.messages[0]; m.Tries.Count > 0 {
		in.due = m.Tries.Last.Add(pauseAfter(m.Tries.Count, lastPause))
		if in.due.After(now) {
			if len(l.paused) == 0 || in.due.Before(l.soonest) {
				l.soonest = in.due
			}
			l.paused[in.key] = in
			return
		}
	}
	l.ready = append(l.ready, in)
}

// down reports whether the receiver counts as down.
func (l *lanes) down() bool { return l.failures >= downAfter }

// next returns the message to send now, if there is one.
func (l *lanes) next(now time.Time) (m staging.WebhookMessage, ok bool) {
	if l.busy >= atOnce || l.down() && (l.busy > 0 || now.Before(l.probe)) {
		return m, false
	}
	// While the receiver is down, the pause between any two tries is that of the probe.
	if l.down() {
		l.resume(func(*lane) bool { return true })
	} else if len(l.paused) > 0 && !now.Before(l.soonest) {
		l.resume(func(in *lane) bool { return !now.Before(in.due) })
	}
	if len(l.ready) == 0 {
		return m, false
	}
	in := l.ready[0]
	l.ready = l.ready[1:]
	in.busy = true
	l.busy++
	return in.messages[0], true
}

// resume makes those paused lanes ready for which due is true.
func (l *lanes) resume(due func(*lane) bool) {
	l.soonest = time.Time{}
	for key, in := range l.paused {
		if due(in) {
			delete(l.paused, key)
			l.ready = append(l.ready, in)
		} else if l.soonest.IsZero() || in.due.Before(l.soonest) {
			l.soonest = in.due
		}
	}
}

// delivered removes a message that was delivered. If the receiver was down, all that waited
// for it may be sent now.
func (l *lanes) delivered(m staging.WebhookMessage, now time.Time) {
	if l.down() {
		l.resume(func(*lane) bool { return true })
	}
	l.failures = 0
	l.remove(m, now)
}

// failed notes a failure, and returns the message's tries, and whether it is given up. One that
// is given up is removed, and the next of its session is no longer held up.
func (l *lanes) failed(m staging.WebhookMessage, now time.Time, reason string, giveUp time.Duration) (tries staging.WebhookTries, givenUp bool) {
	l.failures++
	if l.down() {
		l.probe = now.Add(pauseAfter(l.failures-downAfter+1, lastProbe))
	}
	in := l.of[m.Key()]
	tries = m.Tries
	if tries.Count == 0 {
		tries.First = now
	}
	tries.Count, tries.Last, tries.Error = tries.Count+1, now, reason
	if now.Sub(tries.First) >= giveUp {
		l.remove(m, now)
		return tries, true
	}
	in.messages[0].Tries = tries
	in.busy = false
	l.busy--
	l.line(in, now)
	return tries, false
}

// remove takes the first message of a lane away, and lines the lane up for the next.
func (l *lanes) remove(m staging.WebhookMessage, now time.Time) {
	in := l.of[m.Key()]
	in.busy = false
	l.busy--
	l.size--
	in.messages = in.messages[1:]
	if len(in.messages) == 0 {
		delete(l.of, in.key)
		return
	}
	l.line(in, now)
}

// pauseAfter returns the pause after a number of failures: it doubles, up to most.
func pauseAfter(failures int, most time.Duration) time.Duration {
	pause := firstPause
	for ; failures > 1 && pause < most; failures-- {
		pause *= 2
	}
	return min(pause, most)
}
