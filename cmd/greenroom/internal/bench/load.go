package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/internal/loadgen"
)

// The values of --mode.
const (
	modeClosed = "closed"
	modeOpen   = "open"
	modeBurst  = "burst"
	modeReplay = "replay"
)

// maxInFlight bounds the requests in flight of one process: each holds a connection.
const maxInFlight = 10_000

// load is one of the loads of internal/loadgen.
type load interface {
	Run(context.Context, loadgen.Request) (*loadgen.Result, error)
}

// loadFlags choose the load. They are part of the raw results.
type loadFlags struct {
	Mode     string        `json:"mode"`
	Clients  int           `json:"clients,omitempty"`
	Requests int           `json:"requests,omitempty"`
	Rate     float64       `json:"rate,omitempty"`
	Duration time.Duration `json:"-"`
	Seconds  float64       `json:"seconds,omitempty"`
	InFlight int           `json:"in_flight,omitempty"`
	Burst    int           `json:"burst,omitempty"`
	Demand   string        `json:"demand,omitempty"`
	Speed    float64       `json:"speed,omitempty"`
	Seed     uint64        `json:"seed,omitempty"`
	// file is where the raw results are written; "" for nowhere.
	file string
	// times are when the launches of a replay come.
	times []time.Duration
}

func (f *loadFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.Mode, "mode", modeClosed, "closed: clients that wait for their answers; open: arrivals at a rate, whatever the answers; burst: many at once; replay: at the times of a recorded demand")
	fl.IntVar(&f.Clients, "clients", 32, "closed: how many send at the same time; open, replay: how many requests are sent at once (default there: --in-flight)")
	fl.IntVar(&f.Requests, "requests", 100, "closed: how many each client sends")
	fl.Float64Var(&f.Rate, "rate", 10, "open: arrivals a second on average (Poisson)")
	fl.DurationVar(&f.Duration, "duration", 30*time.Second, "open: for how long they arrive")
	fl.IntVar(&f.InFlight, "in-flight", 1000, "open, replay: how many may be unanswered at once; what arrives beyond is counted as "+loadgen.NotSent)
	fl.Uint64Var(&f.Seed, "seed", 1, "open, replay: fixes the moments of arrival")
	fl.StringVar(&f.Demand, "demand", "", "replay: the file with the demand, as greenroom simulate reads it")
	fl.Float64Var(&f.Speed, "speed", 1, "replay: how many times faster than it was recorded")
	fl.IntVar(&f.Burst, "burst", 100, "burst: how many at once")
	fl.StringVar(&f.file, "json", "", "write the raw results here, as JSON, with the histograms")
}

// flagModes has the modes that use a flag.
var flagModes = map[string][]string{
	"clients": {modeClosed, modeOpen, modeReplay}, "requests": {modeClosed},
	"rate": {modeOpen}, "duration": {modeOpen}, "in-flight": {modeOpen, modeReplay}, "seed": {modeOpen, modeReplay},
	"demand": {modeReplay}, "speed": {modeReplay},
	"burst": {modeBurst},
}

// settle validates the flags and sets those that the mode does not use to zero; given
// reports whether a flag was set.
func (f *loadFlags) settle(given func(flag string) bool) error {
	uses := func(flag string) bool {
		for _, m := range flagModes[flag] {
			if m == f.Mode {
				return true
			}
		}
		return false
	}
	if f.Mode != modeClosed && f.Mode != modeOpen && f.Mode != modeBurst && f.Mode != modeReplay {
		return fmt.Errorf("--mode: must be %s, %s, %s or %s, is %q", modeClosed, modeOpen, modeBurst, modeReplay, f.Mode)
	}
	if (f.Mode == modeOpen || f.Mode == modeReplay) && !given("clients") {
		f.Clients = f.InFlight
	}
	for _, n := range []struct {
		flag  string
		value *int
		most  int
	}{
		{"in-flight", &f.InFlight, maxInFlight},
		{"clients", &f.Clients, maxInFlight},
		{"requests", &f.Requests, 1_000_000},
		{"burst", &f.Burst, maxInFlight},
	} {
		switch {
		case !uses(n.flag) && given(n.flag):
			return fmt.Errorf("--%s: is not for --mode %s", n.flag, f.Mode)
		case !uses(n.flag):
			*n.value = 0
		case *n.value < 1 || *n.value > n.most:
			return fmt.Errorf("--%s: must be between 1 and %d, is %d", n.flag, n.most, *n.value)
		}
	}
	if f.Mode == modeOpen {
		for _, flag := range []string{"demand", "speed"} {
			if given(flag) {
				return fmt.Errorf("--%s: is not for --mode %s", flag, f.Mode)
			}
		}
		f.Speed = 0
		if !(f.Rate > 0 && f.Rate <= 100_000) {
			return fmt.Errorf("--rate: must be above 0 and at most 100000 a second, is %v", f.Rate)
		}
		if f.Duration <= 0 || f.Duration > 24*time.Hour {
			return fmt.Errorf("--duration: must be above 0s and at most 24h, is %s", f.Duration)
		}
		f.Seconds = f.Duration.Seconds()
		return nil
	}
	for _, flag := range []string{"rate", "duration", "seed", "demand", "speed"} {
		if given(flag) && !uses(flag) {
			return fmt.Errorf("--%s: is not for --mode %s", flag, f.Mode)
		}
	}
	f.Rate = 0
	if f.Mode == modeReplay {
		return f.settleReplay()
	}
	f.Seed, f.Speed = 0, 0
	return nil
}

// load returns the load of flags that have been settled.
func (f loadFlags) load() load {
	switch f.Mode {
	case modeOpen:
		return loadgen.Open{Rate: f.Rate, For: f.Duration, Clients: f.Clients, InFlight: f.InFlight, Seed: f.Seed}
	case modeBurst:
		return loadgen.Burst{Size: f.Burst}
	case modeReplay:
		return loadgen.Replay{Times: f.times, For: f.Duration, Clients: f.Clients, InFlight: f.InFlight}
	}
	return loadgen.Closed{Clients: f.Clients, Requests: f.Requests}
}

// atOnce returns the largest number of requests in flight.
func (f loadFlags) atOnce() int { return max(f.Clients, f.Burst) }

// String describes the load for a person.
func (f loadFlags) String() string {
	switch f.Mode {
	case modeOpen:
		return fmt.Sprintf("open: %v a second for %s, at most %d at once and %d unanswered, seed %d", f.Rate, f.Duration, f.Clients, f.InFlight, f.Seed)
	case modeBurst:
		return fmt.Sprintf("burst: %d at once", f.Burst)
	case modeReplay:
		return fmt.Sprintf("replay: %d launches of %s in %s, %v times as fast, seed %d", len(f.times), f.Demand, f.Duration.Round(time.Second), f.Speed, f.Seed)
	}
	return fmt.Sprintf("closed: %d clients x %d requests", f.Clients, f.Requests)
}

// idleTimeout is how long a connection may be idle and is still used: well below what the servers
// allow, the floor a minute and a broker two. A launch that is sent on a connection which its server
// is just closing fails without an answer, and must not be sent again.
const idleTimeout = 20 * time.Second

// transport returns an HTTP transport that keeps atOnce connections alive.
func transport(atOnce int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout = 0, atOnce, idleTimeout
	return t
}
