package staging

import (
	"testing"
	"time"
)

// TestWhenAnUnusedSessionEnds, and when its user is warned.
func TestWhenAnUnusedSessionEnds(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC).Add(d) }
	hour, brief := Terms{Idle: Duration(time.Hour)}, Terms{Idle: Duration(10 * time.Second)}
	for name, c := range map[string]struct {
		s         Session
		due, ends time.Time
	}{
		"not assigned yet":          {s: Session{Terms: hour}},
		"without a term":            {s: Session{AssignedAt: at(0)}},
		"never used":                {Session{Terms: hour, AssignedAt: at(0)}, at(55 * time.Minute), at(time.Hour)},
		"used":                      {Session{Terms: hour, AssignedAt: at(0), KeepaliveAt: at(time.Minute)}, at(56 * time.Minute), at(61 * time.Minute)},
		"warned":                    {Session{Terms: hour, AssignedAt: at(0), IdleWarnedAt: at(55 * time.Minute)}, at(time.Hour), at(time.Hour)},
		"warned late":               {Session{Terms: hour, AssignedAt: at(0), IdleWarnedAt: at(2 * time.Hour)}, at(125 * time.Minute), at(125 * time.Minute)},
		"used after the warning":    {Session{Terms: hour, AssignedAt: at(0), IdleWarnedAt: at(55 * time.Minute), KeepaliveAt: at(time.Hour)}, at(115 * time.Minute), at(2 * time.Hour)},
		"a short term's warning":    {Session{Terms: brief, AssignedAt: at(0)}, at(8 * time.Second), at(10 * time.Second)},
		"an unvisited one's is not": {s: Session{Terms: Terms{Unvisited: Duration(time.Hour)}, AssignedAt: at(0), Unvisited: true}},
	} {
		if due, ends := c.s.IdleDue(), c.s.IdleEndsAt(); !due.Equal(c.due) || !ends.Equal(c.ends) {
			t.Errorf("%s: due %s, ends %s; want %s, %s", name, due, ends, c.due, c.ends)
		}
	}
	s := Session{Terms: Terms{Unvisited: Duration(time.Hour)}, AssignedAt: at(0), Unvisited: true}
	if got := s.UnvisitedEndsAt(); !got.Equal(at(time.Hour)) {
		t.Errorf("unvisited, it ends at %s", got)
	}
	s.Unvisited = false // visited, or not known
	if got := s.UnvisitedEndsAt(); !got.IsZero() {
		t.Errorf("visited, it ends at %s", got)
	}
}
