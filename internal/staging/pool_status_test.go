package staging

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestFillAndSummaryOfAPoolStatus(t *testing.T) {
	for _, c := range []struct {
		status  PoolStatus
		fill    Fill
		summary string
	}{
		{PoolStatus{Desired: 2, Current: 2, Ready: 2}, Full, "desired 2, current 2, ready 2"},
		{PoolStatus{Desired: 2, Current: 3, Ready: 3}, Full, "desired 2, current 3, ready 3"},
		{PoolStatus{}, Full, "desired 0, current 0, ready 0"},
		{PoolStatus{Desired: 2, Current: 2, Ready: 1}, Filling, "desired 2, current 2, ready 1, filling"},
		{PoolStatus{Desired: 2, Current: 2, Ready: 1, Oldest: noon.Add(-time.Hour)}, Short, "desired 2, current 2, ready 1"},
		{
			PoolStatus{Desired: 2, Conditions: []Condition{
				{Type: CapacityExhausted, Message: "not enough memory"}, {Type: HookFailing, Message: "exit code 1"},
			}},
			Bare, "desired 2, current 0, ready 0\nCapacityExhausted: not enough memory\nHookFailing: exit code 1",
		},
		{
			PoolStatus{Desired: 2, Current: 3, Ready: 3, DesiredReason: "schedule 1 is open"},
			Full,
			"desired 2, current 3, ready 3\nschedule 1 is open",
		},
		{PoolStatus{Desired: 2, Current: 1, Draining: true}, Full, "its staging config is deleted; left to be ended: 1 session"},
	} {
		if c.status.Fill(noon) != c.fill || c.status.Summary(noon) != c.summary {
			t.Errorf("%+v: %s, %q", c.status, c.status.Fill(noon), c.status.Summary(noon))
		}
	}
}

// TestAPoolIsFillingWhileWhatIsMissingIsOnTheWay, and none of it for longer than usual.
func TestAPoolIsFillingWhileWhatIsMissingIsOnTheWay(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for _, c := range []struct {
		name   string
		status PoolStatus
		fill   Fill
		lack   string
	}{
		{"what was claimed is not made again yet", PoolStatus{Desired: 2, Current: 1, Ready: 1}, Filling, ""},
		{"a pool of one whose session was claimed", PoolStatus{Desired: 1}, Filling, ""},
		{"nothing is known yet: 2 minutes", PoolStatus{Desired: 1, Current: 1, Oldest: ago(2*time.Minute - 1)}, Filling, ""},
		{
			"longer than that",
			PoolStatus{Desired: 1, Current: 1, Oldest: ago(2 * time.Minute)},
			Bare,
			"0 of 1 ready, and one is on the way for 2m0s; no session has become ready yet",
		},
		{"30 seconds at least", PoolStatus{Desired: 2, Current: 2, Ready: 1, Usual: time.Second, Oldest: ago(30*time.Second - 1)}, Filling, ""},
		{
			"longer than that",
			PoolStatus{Desired: 2, Current: 2, Ready: 1, Usual: time.Second, Oldest: ago(30 * time.Second)},
			Short,
			"1 of 2 ready, and one is on the way for 30s; usually a session takes 1s",
		},
		{"twice as long as usual", PoolStatus{Desired: 2, Current: 2, Usual: 5 * time.Minute, Oldest: ago(10*time.Minute - 1)}, Filling, ""},
		{"longer than that", PoolStatus{Desired: 2, Current: 2, Usual: 5 * time.Minute, Oldest: ago(10 * time.Minute)}, Bare, "0 of 2 ready, and one is on the way for 10m0s; usually a session takes 5m0s"},
		{
			"it starts again and again",
			PoolStatus{Desired: 1, Current: 1, Oldest: ago(time.Second), Conditions: []Condition{{Type: CrashLooping}}},
			Bare,
			"0 of 1 ready",
		},
		{"no scaler is at work", PoolStatus{Desired: 2, Ready: 1, Current: 1, Unkept: true}, Short, "1 of 2 ready"},
		{"it is full, and one more is late", PoolStatus{Desired: 1, Current: 2, Ready: 1, Oldest: ago(time.Hour)}, Full, ""},
		{"its config is deleted", PoolStatus{Desired: 1, Draining: true, Oldest: ago(time.Hour)}, Full, ""},
	} {
		if fill, lack := c.status.Fill(noon), c.status.Lack(noon); fill != c.fill || lack != c.lack {
			t.Errorf("%s: %s, %q, want %s, %q", c.name, fill, lack, c.fill, c.lack)
		}
	}
}
