package staging

import (
	"testing"
	"time"
)

// TestExtend: within the bound, once for each key, and never earlier.
func TestExtend(t *testing.T) {
	ends := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	hour := Duration(time.Hour)
	f := Fate{Terms: Terms{TimeLimit: 8 * hour, MaxExtension: 2 * hour, Extended: hour / 2}}
	keyed, _ := f.Extend(ends, ExtendBy{By: hour, Key: "k"})
	for name, c := range map[string]struct {
		from     Fate
		r        ExtendBy
		outcome  ExtensionOutcome
		extended Duration
	}{
		"by":                         {f, ExtendBy{By: hour}, Extended, hour * 3 / 2},
		"by all that is left":        {f, ExtendBy{By: hour * 3 / 2}, Extended, 2 * hour},
		"by more":                    {f, ExtendBy{By: hour*3/2 + 1}, BeyondMaxExtension, hour / 2},
		"by more than there is time": {f, ExtendBy{By: 1<<63 - 1}, BeyondMaxExtension, hour / 2},
		"until":                      {f, ExtendBy{Until: ends.Add(time.Hour)}, Extended, hour * 3 / 2},
		"until it ends anyway":       {f, ExtendBy{Until: ends}, ExtendedBefore, hour / 2},
		"until too late":             {f, ExtendBy{Until: ends.Add(2 * time.Hour)}, BeyondMaxExtension, hour / 2},
		"a repeat":                   {keyed, ExtendBy{By: hour, Key: "k"}, ExtendedBefore, hour * 3 / 2},
		"another one with the key":   {keyed, ExtendBy{By: hour / 4, Key: "k"}, ExtensionKeyReused, hour * 3 / 2},
		"another key":                {keyed, ExtendBy{By: hour / 4, Key: "l"}, Extended, hour * 7 / 4},
		"no bound":                   {Fate{Terms: Terms{TimeLimit: hour}}, ExtendBy{By: 1}, BeyondMaxExtension, 0},
	} {
		got, outcome := c.from.Extend(ends, c.r)
		if outcome != c.outcome || got.Terms.Extended != c.extended {
			t.Errorf("%s: %v, extended by %s; want %v, %s", name, outcome, got.Terms.Extended, c.outcome, c.extended)
		}
	}
	if len(f.Extensions) != 0 || len(keyed.Extensions) != 1 || keyed.Extensions[0].Key == "k" {
		t.Errorf("remembered: %+v", keyed.Extensions)
	}
	many := f
	many.Terms.MaxExtension = 100 * hour
	for i := range 2 * maxExtensions {
		many, _ = many.Extend(ends, ExtendBy{By: Duration(time.Minute), Key: string(rune('A' + i))})
	}
	if len(many.Extensions) != maxExtensions {
		t.Errorf("%d keys are remembered", len(many.Extensions))
	}
	for _, r := range []ExtendBy{{}, {By: hour, Until: ends}, {By: -1}, {By: 1}} {
		if r.Validate() == nil {
			t.Errorf("%+v is valid", r)
		}
	}
}

// TestPreEndDue: for the end that comes first, of the idle one only once its user was warned.
func TestPreEndDue(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	hour := Duration(time.Hour)
	limit := Session{AssignedAt: at, Terms: Terms{TimeLimit: hour}}
	idle := Session{AssignedAt: at, Terms: Terms{TimeLimit: 2 * hour, Idle: hour}}
	warned := idle
	warned.IdleWarnedAt = at.Add(55 * time.Minute)
	hooked := limit
	hooked.Hooks = &ExecConfig{PreEnd: &Hook{Before: hour / 2}}
	extended := limit
	extended.Terms.Extended = hour
	for name, c := range map[string]struct {
		s         Session
		end, from time.Duration
		reason    string
	}{
		"limit":               {limit, time.Hour, 55 * time.Minute, "session_time_limit"},
		"its hook's before":   {hooked, time.Hour, 30 * time.Minute, "session_time_limit"},
		"extended":            {extended, 2 * time.Hour, 115 * time.Minute, "session_time_limit"},
		"idle, not warned":    {idle, 2 * time.Hour, 115 * time.Minute, "session_time_limit"},
		"idle, and warned of": {warned, time.Hour, 55 * time.Minute, "idle_expiration"},
	} {
		end, from := c.s.PreEndDue()
		if end.Reason != c.reason || !end.At.Equal(at.Add(c.end)) || !from.Equal(at.Add(c.from)) {
			t.Errorf("%s: %+v from %s", name, end, from)
		}
	}
	if end, _ := (Session{AssignedAt: at}).PreEndDue(); !end.At.IsZero() {
		t.Errorf("without a limit: %+v", end)
	}
}
