package main

import (
	"encoding/json"
	"strings"
	"testing"

	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// cannedBench is a command line with what greenroom bench asks a broker for.
func cannedBench(t *testing.T) *cli {
	c := newCLI(t, "")
	c.broker.images["demo"] = staging.Image{Name: "demo"}
	c.broker.zones["east"] = staging.Zone{Name: "east"}
	c.broker.sessions = []staging.Session{userSession()}
	c.broker.result = launching.Result{Session: userSession()}
	return c
}

func TestBenchIsLoudAboutASessionThatTwoUsersGot(t *testing.T) {
	c := cannedBench(t)
	c.want(exitFailed, []string{"bench", "--image", "demo", "--zone", "east", "--clients", "1", "--requests", "3"},
		"SESSION gr-1 WAS GIVEN TO 3 USERS", "launches [0 1 2]", "1 sessions were given, 1 of them more than once; 1 were ended")
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
		c.broker.err = tt.err
		out := c.want(exitOK, []string{"bench", "--image", "demo", "--zone", "east", "--clients", "1", "--requests", "4", "-o", "json"})
		var r benchReport
		must(t, json.Unmarshal([]byte(out), &r))
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
		{[]string{"bench", "--zone", "east"}, exitUsage, `"image"`},
		{[]string{"bench", "--image", "demo", "--zone", ".."}, exitUsage, "--zone"},
		{append(bench, "--mode", "sideways"), exitUsage, "--mode: must be closed, open or burst"},
		{append(bench, "--clients", "0"), exitUsage, "--clients: must be between 1"},
		{append(bench, "--requests", "-1"), exitUsage, "--requests"},
		{append(bench, "--rate", "5"), exitUsage, "--rate: is not for --mode closed"},
		{append(bench, "--mode", "burst", "--clients", "5"), exitUsage, "--clients: is not for --mode burst"},
		{append(bench, "--mode", "burst", "--burst", "100000"), exitUsage, "--burst"},
		{append(bench, "--mode", "open", "--rate", "NaN"), exitUsage, "--rate: must be above 0"},
		{append(bench, "--mode", "open", "--duration", "0s"), exitUsage, "--duration"},
		{append(bench, "--mode", "open", "--in-flight", "0"), exitUsage, "--in-flight"},
		{append(bench, "--dwell", "-1s"), exitUsage, "--dwell"},
		{append(bench, "--dwell", "1s", "--keep"), exitUsage, "--dwell: is not for --keep"},
		{append(bench, "--wait", "1h"), exitUsage, "--wait"},
		{[]string{"bench", "--image", "none", "--zone", "east"}, exitNotFound, "none"},
		{[]string{"bench", "--image", "demo", "--zone", "none"}, exitNotFound, "none"},
		{append(bench, "--address", "127.0.0.1:1"), exitUnavailable, "is it running"},
		{[]string{"bench", "floor", "--redis-address", "nowhere"}, exitUsage, "--redis-address"},
		{[]string{"bench", "floor", "--consul-address", "nowhere"}, exitUsage, "--consul-address"},
		{[]string{"bench", "floor", "--redis-address", "127.0.0.1:1"}, exitFailed, "--redis-address 127.0.0.1:1: Redis does not answer"},
		{[]string{"bench", "floor", "extra"}, exitUsage, "extra"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) { cannedBench(t).want(tt.code, tt.args, tt.says) })
	}
}
