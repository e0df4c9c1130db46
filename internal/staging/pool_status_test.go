package staging

import "testing"

func TestFillAndSummaryOfAPoolStatus(t *testing.T) {
	for _, c := range []struct {
		status  PoolStatus
		fill    Fill
		summary string
	}{
		{PoolStatus{Desired: 2, Current: 2, Ready: 2}, Full, "desired 2, current 2, ready 2"},
		{PoolStatus{Desired: 2, Current: 3, Ready: 3}, Full, "desired 2, current 3, ready 3"},
		{PoolStatus{}, Full, "desired 0, current 0, ready 0"},
		{PoolStatus{Desired: 2, Current: 2, Ready: 1}, Short, "desired 2, current 2, ready 1"},
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
		{PoolStatus{Desired: 2, Current: 1, Draining: true}, Full, "its staging config is deleted: 1 sessions are left to be ended"},
	} {
		if c.status.Fill() != c.fill || c.status.Summary() != c.summary {
			t.Errorf("%+v: %s, %q", c.status, c.status.Fill(), c.status.Summary())
		}
	}
}
