package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestASessionThatIsNotUsedEndsAfterAWarning: its user sees when, by an event and in the answer for
// the session, and one use is enough to go on.
func TestASessionThatIsNotUsedEndsAfterAWarning(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("idle"), 1)
	d.untilReady(t, "idle", 1)
	d.group(t, staging.Group{Name: "brisk", IdleExpiration: staging.Duration(20 * time.Second)})
	l := inGroup(t, d, "idle", "east", "iris", "brisk")
	warned := func(times int) {
		t.Helper()
		until(t, fmt.Sprintf("%d warnings", times), func() (bool, string) {
			s := d.session(t, l.ID)
			if s.State != "assigned" {
				t.Fatalf("it is %s: %s", s.State, s.Reason)
			}
			n := 0
			for _, e := range d.events(t) {
				if e["type"] == string(staging.EventIdleSoon) && e["session"] == l.ID {
					n++
				}
			}
			return n == times, fmt.Sprintf("%d so far", n)
		})
	}
	warned(1)
	var before, after struct {
		IdleEndsAt time.Time `json:"idle_ends_at"`
	}
	d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &before)
	d.ask(t, "POST", "/v1/sessions/"+l.ID+"/keepalive", nil, 200, &after)
	if before.IdleEndsAt.IsZero() || !after.IdleEndsAt.After(before.IdleEndsAt) {
		t.Errorf("it would end at %s, after a use at %s", before.IdleEndsAt, after.IdleEndsAt)
	}
	warned(2)
	if reason := d.untilEnded(t, l.ID); !strings.Contains(reason, "it was not used for 20s") {
		t.Errorf("it ended with %q", reason)
	}
}

// TestASessionThatItsUserNeverOpensEnds, and one that was opened once does not.
func TestASessionThatItsUserNeverOpensEnds(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("unvisited"), 2)
	d.untilReady(t, "unvisited", 2)
	d.group(t, staging.Group{Name: "absent", UnvisitedExpiration: staging.Duration(6 * time.Second)})
	// Gateways note that they are there: while none is, no session ends as unused.
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(d.Redis, "redis://")})
	defer rdb.Close()
	if n, err := rdb.Exists(t.Context(), "greenroom:receiving:gateways").Result(); err != nil || n != 1 {
		t.Errorf("no gateway is noted in Redis: %d, %v", n, err)
	}
	never, once := inGroup(t, d, "unvisited", "east", "nina", "absent"), inGroup(t, d, "unvisited", "east", "nora", "absent")
	var shown struct {
		Unvisited bool      `json:"unvisited"`
		VisitedAt time.Time `json:"visited_at"`
		EndsAt    time.Time `json:"unvisited_ends_at"`
	}
	d.ask(t, "GET", "/v1/sessions/"+never.ID, nil, 200, &shown)
	if !shown.Unvisited || !shown.VisitedAt.IsZero() || shown.EndsAt.IsZero() {
		t.Errorf("before its user comes: %+v", shown)
	}
	if _, status, text := newVisitor(t).visit(t, d.link(t, once)); status != 200 {
		t.Fatalf("the link: %d %s", status, text)
	}
	if reason := d.untilEnded(t, never.ID); !strings.Contains(reason, "its user did not open it within 6s") {
		t.Errorf("it ended with %q", reason)
	}
	shown.Unvisited, shown.EndsAt = false, time.Time{}
	d.ask(t, "GET", "/v1/sessions/"+once.ID, nil, 200, &shown)
	if s := d.session(t, once.ID); s.State != "assigned" || shown.Unvisited || shown.VisitedAt.IsZero() || !shown.EndsAt.IsZero() {
		t.Errorf("one that was opened is %s: %s; %+v", s.State, s.Reason, shown)
	}
}
