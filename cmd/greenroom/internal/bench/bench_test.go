package bench_test

import (
	"strings"
	"testing"

	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// cannedBench is a command line with what greenroom bench asks a broker for.
func cannedBench(t *testing.T) *clitest.CLI {
	c := clitest.New(t, "")
	c.Broker.ImageByName["demo"] = staging.Image{Name: "demo"}
	c.Broker.ZoneByName["east"] = staging.Zone{Name: "east"}
	c.Broker.SessionList = []staging.Session{clitest.UserSession()}
	c.Broker.Result = launching.Result{Session: clitest.UserSession()}
	return c
}

func TestBenchIsLoudAboutASessionThatTwoUsersGot(t *testing.T) {
	c := cannedBench(t)
	c.Want(exit.Failed, []string{"bench", "--image", "demo", "--zone", "east", "--clients", "1", "--requests", "3"},
		"SESSION gr-1 WAS GIVEN TO 3 USERS", "launches [0 1 2]", "1 session given, 1 of them more than once; 1 ended")
}

func TestBenchSortsRefusalsAndErrors(t *testing.T) {
	for _, tt := range []struct {
		err             error
		class           string
		refused, errors int
	}{
		{&refusal.Error{Kind: refusal.NoCapacity, Detail: "full"}, "refused:no_capacity", 4, 0},
		{&refusal.Error{Kind: refusal.ImageDisabled, Detail: "off"}, "error:image_disabled", 0, 4},
	} {
		c := cannedBench(t)
		c.Broker.Err = tt.err
		out := c.Want(exit.OK, []string{"bench", "--image", "demo", "--zone", "east", "--clients", "1", "--requests", "4", "-o", "json"})
		var r bench.Report
		clitest.Decode(t, out, &r)
		if r.Refused != tt.refused || r.Errors != tt.errors || r.Result.Count(tt.class) != 4 || r.Given != 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestFlagsOfBench(t *testing.T) {
	bench := []string{"bench", "--image", "demo", "--zone", "east"}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"bench", "--zone", "east"}, exit.Usage, `"image"`},
		{[]string{"bench", "--image", "demo", "--zone", ".."}, exit.Usage, "--zone"},
		{append(bench, "--mode", "sideways"), exit.Usage, "--mode: must be closed, open, burst or replay"},
		{append(bench, "--clients", "0"), exit.Usage, "--clients: must be between 1"},
		{append(bench, "--requests", "-1"), exit.Usage, "--requests"},
		{append(bench, "--rate", "5"), exit.Usage, "--rate: is not for --mode closed"},
		{append(bench, "--mode", "burst", "--clients", "5"), exit.Usage, "--clients: is not for --mode burst"},
		{append(bench, "--mode", "burst", "--burst", "100000"), exit.Usage, "--burst"},
		{append(bench, "--mode", "open", "--rate", "NaN"), exit.Usage, "--rate: must be above 0"},
		{append(bench, "--mode", "open", "--duration", "0s"), exit.Usage, "--duration"},
		{append(bench, "--mode", "open", "--in-flight", "0"), exit.Usage, "--in-flight"},
		{append(bench, "--mode", "replay"), exit.Usage, "--demand: must be given for --mode replay"},
		{append(bench, "--mode", "replay", "--demand", "nowhere.csv"), exit.Usage, "--demand: open nowhere.csv"},
		{append(bench, "--mode", "replay", "--demand", "x", "--speed", "0"), exit.Usage, "--speed: must be above 0"},
		{append(bench, "--mode", "replay", "--demand", "x", "--rate", "5"), exit.Usage, "--rate: is not for --mode replay"},
		{append(bench, "--speed", "2"), exit.Usage, "--speed: is not for --mode closed"},
		{append(bench, "--mode", "open", "--demand", "x"), exit.Usage, "--demand: is not for --mode open"},
		{append(bench, "--dwell", "-1s"), exit.Usage, "--dwell"},
		{append(bench, "--dwell", "1s", "--keep"), exit.Usage, "--dwell: is not for --keep"},
		{append(bench, "--wait", "1h"), exit.Usage, "--wait"},
		{[]string{"bench", "--image", "none", "--zone", "east"}, exit.NotFound, "none"},
		{[]string{"bench", "--image", "demo", "--zone", "none"}, exit.NotFound, "none"},
		{append(bench, "--address", "127.0.0.1:1"), exit.Unavailable, "is it running"},
		{[]string{"bench", "floor", "--redis-address", "nowhere"}, exit.Usage, "--redis-address"},
		{[]string{"bench", "floor", "--consul-address", "nowhere"}, exit.Usage, "--consul-address"},
		{[]string{"bench", "floor", "--redis-address", "127.0.0.1:1"}, exit.Failed, "--redis-address 127.0.0.1:1: Redis does not answer"},
		{[]string{"bench", "floor", "extra"}, exit.Usage, "extra"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) { cannedBench(t).Want(tt.code, tt.args, tt.says) })
	}
}
