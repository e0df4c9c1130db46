package staging

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEveryStateHasAWayToItsEnd: by the table, every state leads to ended, and no move
// leads out of it.
func TestEveryStateHasAWayToItsEnd(t *testing.T) {
	for _, from := range States {
		reached := map[State]bool{from: true}
		for changed := true; changed; {
			changed = false
			for s := range reached {
				for _, to := range States {
					if CanMove(s, to) && !reached[to] {
						reached[to], changed = true, true
					}
				}
			}
		}
		if !reached[Ended] {
			t.Errorf("no way from %s to ended", from)
		}
		if CanMove(from, from) {
			t.Errorf("%s may move to itself", from)
		}
		if CanMove(Ended, from) {
			t.Errorf("ended may move to %s", from)
		}
	}
}

// TestAUsedSessionNeverReturns is rule 1: no moves lead from a user's session back to a
// pool. A claimed session without a fate record is still unused (rule 3): it may go back,
// by a script of its own.
func TestAUsedSessionNeverReturns(t *testing.T) {
	for _, from := range []State{Claimed, Assigned, Ending, Retiring, Ended} {
		for _, to := range []State{Pending, Starting, Ready} {
			unused := from == Claimed && to == Ready
			if CanMove(from, to) != unused {
				t.Errorf("%s may become %s: %v", from, to, !unused)
			}
		}
	}
}

func fields(err error) []string {
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		return nil
	}
	var names []string
	for _, f := range invalid.Fields {
		names = append(names, f.Field)
	}
	return names
}

func TestValidationNamesTheFields(t *testing.T) {
	good := Launch{Image: "demo", Zone: "east", User: User{ID: "u", Name: "any \"name'\n$(x) 😀"}, URL: "https://example.org", Environment: map[string]string{"K": "V"}}
	launch := func(change func(*Launch)) error {
		l := good
		change(&l)
		return l.Validate()
	}
	cases := []struct {
		name string
		err  error
		want []string
	}{
		{"a good launch", good.Validate(), nil},
		{"no image", launch(func(l *Launch) { l.Image = "" }), []string{"image"}},
		{"upper case", launch(func(l *Launch) { l.Zone = "East" }), []string{"zone"}},
		{"a name of dashes", launch(func(l *Launch) { l.Zone = "-" }), []string{"zone"}},
		{"no user", launch(func(l *Launch) { l.User.ID = "" }), []string{"user.id"}},
		{"a NUL", launch(func(l *Launch) { l.User.Name = "a\x00" }), []string{"user.name"}},
		{"not UTF-8", launch(func(l *Launch) { l.User.Name = "\xff" }), []string{"user.name"}},
		{"too long", launch(func(l *Launch) { l.User.Name = strings.Repeat("x", MaxUserNameLength+1) }), []string{"user.name"}},
		{"a relative URL", launch(func(l *Launch) { l.URL = "example" }), []string{"url"}},
		{"a variable's name", launch(func(l *Launch) { l.Environment = map[string]string{"1A": ""} }), []string{"environment.1A"}},
		{"a reserved variable", launch(func(l *Launch) { l.Environment = map[string]string{"NOMAD_TOKEN": "x"} }), []string{"environment.NOMAD_TOKEN"}},
		{"a shell's variable", launch(func(l *Launch) { l.Environment = map[string]string{"UID": "0"} }), []string{"environment.UID"}},
		{"much environment", launch(func(l *Launch) { l.Environment = map[string]string{"K": strings.Repeat("x", MaxEnvironmentBytes)} }), []string{"environment"}},
		{"two at once", Zone{}.Validate(), []string{"name", "datacenters"}},
		{"a datacenter without a name", Zone{Name: "z", Datacenters: []string{""}}.Validate(), []string{"datacenters[0]"}},
		{"a hook without a program", Image{Name: "i", Jobspec: "j", ExecConfig: ExecConfig{Assign: &Hook{}}}.Validate(), []string{"exec_config.assign.cmd"}},
		{"a hook that may take for ever", Image{Name: "i", Jobspec: "j", ExecConfig: ExecConfig{Assign: &Hook{Cmd: []string{"x"}, Timeout: Duration(time.Hour)}}}.Validate(), []string{"exec_config.assign.timeout"}},
		{"no jobspec", Image{Name: "i"}.Validate(), []string{"jobspec"}},
		{"desired below 0", Config{Name: "c", Zone: "z", Image: "i", DesiredSessions: -1}.Validate(DefaultLimits), []string{"desired_sessions"}},
		{"desired above the limit", Config{Name: "c", Zone: "z", Image: "i", DesiredSessions: 3}.Validate(Limits{MaxDesiredSessions: 2}), []string{"desired_sessions"}},
		{"an expiration too short", Config{Name: "c", Zone: "z", Image: "i", Expiration: Duration(time.Second)}.Validate(DefaultLimits), []string{"expiration"}},
		{"an idempotency key with a newline", CheckIdempotencyKey("a\nb"), []string{"Idempotency-Key"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, fields(c.err)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", c.err, diff)
			}
		})
	}
}

func TestGreenroomsVariablesWinOverTheCallers(t *testing.T) {
	l := Launch{Image: "i", Zone: "z", User: User{ID: "u", Name: "n"}, Environment: map[string]string{"K": "V", "GREENROOM_USER_ID": "root"}}
	if got := l.Variables("gr-1"); got["GREENROOM_USER_ID"] != "u" || got["K"] != "V" || got["GREENROOM_SESSION_ID"] != "gr-1" {
		t.Errorf("%v", got)
	}
}

func TestARevisionChangesWithWhatAJobIsMadeFrom(t *testing.T) {
	i := Image{Name: "i", Jobspec: "job", Variables: map[string]string{"a": "1", "b": "2"}}
	z := Zone{Name: "z", Datacenters: []string{"dc1"}}
	base := Revision(i, z, nil)
	same := i
	same.ExecConfig.Assign = &Hook{Cmd: []string{"x"}}
	if Revision(same, z, nil) == base {
		t.Error("a changed hook makes no new revision")
	}
	if Revision(i, z, Permissions{AllowAudio: true}) != base || Revision(i, z, Permissions{AllowAudio: false}) == base {
		t.Error("a permission's default makes a new revision, or another value makes none")
	}
	other := i
	other.Variables = map[string]string{"a": "1", "b": "3"}
	elsewhere := z
	elsewhere.Datacenters = []string{"dc2"}
	if Revision(other, z, nil) == base || Revision(i, elsewhere, nil) == base {
		t.Error("a changed variable or datacenter makes no new revision")
	}
}

func TestDurationsReadWhatTheyWrite(t *testing.T) {
	for text, want := range map[string]time.Duration{`"24h"`: 24 * time.Hour, `"90s"`: 90 * time.Second, `""`: 0} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v", text, d.Std(), err)
		}
		b, err := json.Marshal(d)
		var again Duration
		if err != nil || json.Unmarshal(b, &again) != nil || again != d {
			t.Errorf("%s was written as %s", text, b)
		}
	}
	for _, text := range []string{`"a day"`, `24`, `"24"`} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s is taken for a duration", text)
		}
	}
}

func TestRoundedDurations(t *testing.T) {
	for text, want := range map[string]string{
		"35.996880646s": "36s", "1m30.4s": "1m30s", "5.1234s": "5.1s", "12.3456ms": "12ms", "1.5us": "1.5µs", "0s": "0s", "90s": "1m30s",
	} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Rounded(d).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
