package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// days of history by the minute, in which launches come from 8 to 18 o'clock; the last minute is
// a while ago.
func daysOfHistory(days int) []staging.Minute {
	end := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
	var minutes []staging.Minute
	for at := end.Add(-time.Duration(days) * 24 * time.Hour); at.Before(end); at = at.Add(time.Minute) {
		m := staging.Minute{At: at, Ready: new(2), Wanted: new(3), Made: 1, ToReadySeconds: 20}
		if hour := at.Hour(); hour >= 8 && hour < 18 {
			m.Claims, m.Misses, m.Expected, m.Low, m.High = 4, 1, new(4.5), new(2.0), new(7.25)
		}
		minutes = append(minutes, m)
	}
	return minutes
}

func TestHistoryCommand(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.Minutes = daysOfHistory(16)
	c.Broker.ConfigByName["demo-east"] = staging.Config{Name: "demo-east", Zone: "east", Image: "demo"}

	out := c.Want(exit.OK, []string{"history", "demo-east", "--since", "48h"}, "TIME", "CLAIMS", "TO READY", "20.0")
	if lines := strings.Count(out, "\n"); lines < 48 || lines > 50 {
		t.Errorf("%d lines of two days by the hour:\n%s", lines, out)
	}
	out = c.Want(exit.OK, []string{"history", "demo-east", "--since", "384h", "--step", "1m", "-o", "csv"}, "time,claims,misses,ready,wanted,made,to_ready_seconds,expected,low,high\n", ",4,1,2,3,1,20.0,4.5,2.0,7.2\n")
	if lines := strings.Count(out, "\n"); lines < 22_000 {
		t.Errorf("%d lines of 16 days by the minute: one answer has a week of them", lines)
	}
	var parsed struct{ Minutes []staging.Minute }
	out = c.Want(exit.OK, []string{"history", "demo-east", "--since", "24h", "--step", "24h", "-o", "json"})
	if err := json.Unmarshal([]byte(out), &parsed); err != nil || len(parsed.Minutes) == 0 {
		t.Errorf("%v\n%s", err, out)
	}
	c.Want(exit.Usage, []string{"history"}, "NAME")
	c.Want(exit.Usage, []string{"history", "demo-east", "--step", "90s"}, "--step: must be whole minutes from 1m to 24h, is 1m30s")
	c.Want(exit.Usage, []string{"history", "demo-east", "--since", "5m"}, "--since: must be at least --step")
}

func TestSimulateOnAPoolsHistory(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.Minutes = daysOfHistory(8)
	c.Broker.ConfigByName["demo-east"] = staging.Config{
		Name: "demo-east", Zone: "east", Image: "demo", Sizing: &staging.Sizing{Mode: staging.SizingRecommend, ServedWarm: 0.98, Min: 1, Max: 40},
	}
	c.Want(exit.OK, []string{"simulate", "demo-east"}, "served warm (wanted: 98.00%)", "sized by demand", "FIXED POOL")
	var got simulate.Result
	if out := c.Want(exit.OK, []string{"simulate", "demo-east", "--target", "0.95", "-o", "json"}); json.Unmarshal([]byte(out), &got) != nil || got.Arrivals < 5000 || got.ServedWarm < 0.9 {
		t.Errorf("%s", out)
	}
	// A gap counts as without launches, and is told.
	c.Broker.Minutes = append(c.Broker.Minutes[:3000:3000], c.Broker.Minutes[3300:]...)
	c.Want(exit.OK, []string{"simulate", "demo-east"}, "sized by demand")
	c.Broker.Minutes = nil
	c.Want(exit.Failed, []string{"simulate", "demo-east"}, "the history of demo-east: must have at least 10 slots, has 0")
	c.Want(exit.Usage, []string{"simulate", "demo-east", "--demand", "x.csv"}, "one of them")
}
