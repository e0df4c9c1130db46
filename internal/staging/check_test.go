package staging

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAFailingCheckIsOneShortLine(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{FailingCheck{}.String(), ""},
		{NewFailingCheck("http", "").String(), `check "http" fails, and Consul has no output of it`},
		{NewFailingCheck("http", " HTTP GET http://127.0.0.1:1/:\n500\t\x00\xff\n").String(), "check \"http\" fails: HTTP GET http://127.0.0.1:1/: 500 \x00?"},
		{NewFailingCheck("tcp", "refused").Of("gr-1", "east-1 (n1)"), `check "tcp" of session gr-1 on node east-1 (n1) fails: refused`},
		{NewFailingCheck(`service: "x" check`, "refused").String(), `check "service: 'x' check" fails: refused`},
		{NewFailingCheck("tcp", "refused").Of("gr-1", ""), `check "tcp" of session gr-1 fails: refused`},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	long := NewFailingCheck("http", strings.Repeat("€", 1000)).Output
	if len(long) > maxCheckOutput || !utf8.ValidString(long) || !strings.HasSuffix(long, "€…") {
		t.Errorf("%d bytes: %s", len(long), long)
	}
}

func TestPatience(t *testing.T) {
	if got := (Patience{Start: Duration(120e9)}).OrDefault(); got != (Patience{Start: Duration(120e9), Placement: Duration(1800e9), Unhealthy: Duration(30e9)}) {
		t.Errorf("%+v", got)
	}
	err := Image{Name: "i", Jobspec: "job", Patience: Patience{Start: 1, Placement: -1, Unhealthy: Duration(1e9)}}.Validate()
	if err == nil || !strings.Contains(err.Error(), "patience.start: must be at least 1s") || !strings.Contains(err.Error(), "patience.placement: must be at least 1s") ||
		strings.Contains(err.Error(), "patience.unhealthy") {
		t.Errorf("%v", err)
	}
	// Patience is not what a session is made from: a change of it replaces none.
	if z := (Zone{Name: "z"}); Revision(Image{}, z, nil) != Revision(Image{Patience: DefaultPatience}, z, nil) {
		t.Error("a change of the patience replaces sessions")
	}
}

// TestABoundThatIsNotKnownIsNotMadeUp: the command line does not know the broker's limit.
func TestABoundThatIsNotKnownIsNotMadeUp(t *testing.T) {
	c := Config{Name: "c", Zone: "z", Image: "i", DesiredSessions: 3_000_000, Schedule: []Schedule{{Cron: "* * * * *", DesiredSessions: 3_000_000, Duration: Duration(3600e9)}}}
	if err := c.Validate(Limits{}); err != nil {
		t.Error(err)
	}
	if err := c.Validate(Limits{MaxDesiredSessions: 10}); err == nil || strings.Count(err.Error(), "must be between 0 and 10, is 3000000") != 2 {
		t.Error(err)
	}
	c.DesiredSessions, c.Schedule[0].Duration = -1, 0
	if err := c.Validate(Limits{}); err == nil || !strings.Contains(err.Error(), "desired_sessions: must be at least 0, is -1") || !strings.Contains(err.Error(), "schedule[0].duration: must be given, between 1m and 744h") {
		t.Error(err)
	}
}

func TestADurationIsBriefAsAPersonWritesIt(t *testing.T) {
	for want, d := range map[string]Duration{
		"0s": 0, "1ms": 1e6, "10s": 10e9, "1m": 60e9, "1m30s": 90e9, "10m": 600e9, "1h": 3600e9, "1h0m10s": 3610e9, "24h": 24 * 3600e9, "1h30m": 5400e9, "20h10m": 72600e9, "-1s": -1e9,
	} {
		if got := d.Brief(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if back, err := ParseDuration(want); err != nil || back != d {
			t.Errorf("%s is parsed as %s, %v", want, back, err)
		}
	}
}
