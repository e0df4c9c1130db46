package webhooks

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

func messageOf(n int, session string) staging.WebhookMessage {
	return staging.WebhookMessage{
		Position: fmt.Sprintf("%d-0", n),
		Event:    staging.Event{ID: fmt.Sprintf("%d-0", n), Session: session, Type: staging.EventEnded},
	}
}

// TestLanesKeepOrderAndLoseNothing: whatever fails, each message is delivered or given up, those
// of a session in their order and never two at once, and never more than the bound.
func TestLanesKeepOrderAndLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := newLanes(), time.Unix(1e9, 0)
		added, finished := map[string][]string{}, map[string][]string{}
		var sending []staging.WebhookMessage
		total := 0
		finish := func(i int, fails bool) {
			m := sending[i]
			sending = slices.Delete(sending, i, i+1)
			if !fails {
				l.delivered(m, now)
			} else if _, givenUp := l.failed(m, now, "no", time.Minute); !givenUp {
				return
			}
			finished[m.Key()] = append(finished[m.Key()], m.Position)
		}
		send := func() {
			for {
				m, ok := l.next(now)
				if !ok {
					return
				}
				if slices.ContainsFunc(sending, func(o staging.WebhookMessage) bool { return o.Key() == m.Key() }) {
					t.Fatalf("two messages of %s are on their way", m.Key())
				}
				sending = append(sending, m)
				if len(sending) > atOnce {
					t.Fatalf("%d messages are on their way", len(sending))
				}
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				total++
				m := messageOf(total, fmt.Sprint("s", rapid.IntRange(0, 30).Draw(t, "session")))
				added[m.Key()] = append(added[m.Key()], m.Position)
				l.add(m)
			case 1:
				now = now.Add(time.Duration(rapid.IntRange(0, 10_000).Draw(t, "ms")) * time.Millisecond)
			case 2:
				send()
			case 3:
				if len(sending) > 0 {
					finish(rapid.IntRange(0, len(sending)-1).Draw(t, "which"), rapid.IntRange(0, 9).Draw(t, "fails") > 2)
				}
			}
		}
		// The receiver takes everything again: all of it arrives.
		for l.size > 0 {
			now = now.Add(lastPause)
			if send(); len(sending) == 0 {
				t.Fatalf("%d messages are left, and none is sent", l.size)
			}
			for len(sending) > 0 {
				finish(0, false)
			}
		}
		for session, want := range added {
			if got := finished[session]; !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", session, got, want)
			}
		}
	})
}

// TestAFailingSessionHoldsUpOnlyItself: the messages of others go on, and those behind the
// failing one go on once it is given up.
func TestAFailingSessionHoldsUpOnlyItself(t *testing.T) {
	l, now := newLanes(), time.Unix(1e9, 0)
	l.add(messageOf(1, "bad"))
	l.add(messageOf(2, "bad"))
	for n := range 50 {
		l.add(messageOf(10+n, fmt.Sprint("good", n)))
	}
	good, tried, over := 0, 0, false
	for !over {
		now = now.Add(time.Second)
		for {
			m, ok := l.next(now)
			if !ok {
				break
			}
			if m.Key() != "bad" {
				good++
				l.delivered(m, now)
				continue
			}
			tried++
			tries, givenUp := l.failed(m, now, "the receiver answered 400", time.Minute)
			if tries.Count != tried || tries.Error == "" {
				t.Fatalf("%+v after %d tries", tries, tried)
			}
			if over = givenUp; givenUp != (tries.Last.Sub(tries.First) >= time.Minute) {
				t.Fatalf("given up %v: %+v", givenUp, tries)
			}
			if over {
				break
			}
		}
	}
	if good != 50 || tried < 3 || tried > 10 {
		t.Errorf("%d others were delivered, and the failing one tried %d times", good, tried)
	}
	if m, ok := l.next(now.Add(time.Second)); !ok || m.Position != "2-0" {
		t.Errorf("behind the one that was given up: %+v, %v", m, ok)
	}
}

// TestAReceiverThatIsDownIsTriedByOne: not with every session's message, and when it is back
// all of them go at once.
func TestAReceiverThatIsDownIsTriedByOne(t *testing.T) {
	l, now := newLanes(), time.Unix(1e9, 0)
	for n := range 1000 {
		l.add(messageOf(n, fmt.Sprint("s", n)))
	}
	attempts := 0
	for end := now.Add(time.Hour); now.Before(end); now = now.Add(time.Second) {
		for {
			m, ok := l.next(now)
			if !ok {
				break
			}
			attempts++
			l.failed(m, now, "refused", 24*time.Hour)
		}
	}
	if most := downAfter + atOnce + int(time.Hour/lastProbe) + 10; attempts > most {
		t.Errorf("%d attempts in an hour, want at most %d", attempts, most)
	}
	if l.size != 1000 {
		t.Errorf("%d messages are left of 1000", l.size)
	}
	now = now.Add(lastProbe)
	for delivered := 0; delivered < 1000; delivered++ {
		m, ok := l.next(now)
		if !ok {
			t.Fatalf("only %d are sent at once when it is back", delivered)
		}
		l.delivered(m, now)
	}
}
