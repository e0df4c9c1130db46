package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestADeadSessionIsShownAndDoesNotLockItsUserOut: the checks of an assigned session fail for
// good, and its user may have one session. The API, the command line and Consul show it, the
// refusal names the session and the way out, and a session with an unhealthy_expiration ends
// by it.
func TestADeadSessionIsShownAndDoesNotLockItsUserOut(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("dying")
	d.stage(t, image, 2)
	d.untilReady(t, "dying", 2)
	one := 1
	d.group(t, staging.Group{Name: "single", MaxSessionsPerUser: &one})
	l := inGroup(t, d, "dying", "east", "nora", "single")
	if l.Healthy == nil || !*l.Healthy {
		t.Errorf("a session that was just given is not healthy: %+v", l)
	}
	health := func(id string, want bool) time.Time {
		t.Helper()
		var s launched
		until(t, fmt.Sprintf("healthy is %t", want), func() (bool, string) {
			s = d.session(t, id)
			return s.Healthy != nil && *s.Healthy == want, fmt.Sprintf("%+v", s)
		})
		return s.HealthySince
	}
	d.signal(t, l.ID, "SIGSTOP")
	since := health(l.ID, false)
	until(t, "Consul's catalog shows it", func() (bool, string) {
		checks, _, err := d.consul(t).Health().Checks(staging.SessionsService, nil)
		must(t, err)
		var seen []string
		for _, c := range checks {
			if c.ServiceID == l.ID {
				seen = append(seen, c.Status+" "+c.Output)
			}
		}
		text := strings.Join(seen, ", ")
		return len(seen) == 1 && strings.HasPrefix(text, "critical ") && strings.Contains(text, "since "), text
	})
	if out, _, err := d.greenroom("", "sessions", "show", l.ID); err != nil || !strings.Contains(out, "false since "+since.Format("2006-01-02")) {
		t.Errorf("the command line shows\n%s", out)
	}

	var problem struct {
		Code, Detail      string
		Sessions          []string
		UnhealthySessions []string `json:"unhealthy_sessions"`
	}
	body := launch("dying", "east", "nora")
	body["groups"] = []string{"single"}
	d.ask(t, "POST", "/v1/sessions", body, 409, &problem)
	if problem.Code != "session_limit" || len(problem.UnhealthySessions) != 1 || problem.UnhealthySessions[0] != l.ID ||
		!strings.Contains(problem.Detail, "unhealthy since "+since.Format(time.RFC3339)) || !strings.Contains(problem.Detail, "DELETE /v1/sessions/"+l.ID) {
		t.Errorf("%+v", problem)
	}

	// It is only slow, and nothing ended it.
	d.signal(t, l.ID, "SIGCONT")
	if again := health(l.ID, true); !again.After(since) {
		t.Errorf("healthy since %v, unhealthy since %v", again, since)
	}
	if s := d.session(t, l.ID); s.State != "assigned" {
		t.Errorf("it is %s: %s", s.State, s.Reason)
	}
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)

	d.group(t, staging.Group{Name: "strict", UnhealthyExpiration: staging.Duration(2 * time.Second)})
	l = inGroup(t, d, "dying", "east", "nora", "strict")
	d.signal(t, l.ID, "SIGSTOP")
	if reason := d.untilEnded(t, l.ID); !strings.Contains(reason, "its checks have failed for 2s") {
		t.Errorf("it ended with %q", reason)
	}
}
