package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// calls records every request that was sent.
type calls struct {
	mu      sync.Mutex
	numbers []int
	busy    map[int]bool
	doubled bool
}

// then returns a Request that is recorded and then returns f's result.
func (c *calls) then(f func(n int) (string, error)) Request {
	c.busy = map[int]bool{}
	return func(_ context.Context, worker, n int) (string, error) {
		c.mu.Lock()
		c.numbers = append(c.numbers, n)
		c.doubled = c.doubled || c.busy[worker]
		c.busy[worker] = true
		c.mu.Unlock()
		class, err := f(n)
		c.mu.Lock()
		c.busy[worker] = false
		c.mu.Unlock()
		return class, err
	}
}

// wantNumbers checks that the numbers are 0 to n-1, each once.
func (c *calls) wantNumbers(t *testing.T, n int) {
	t.Helper()
	slices.Sort(c.numbers)
	if len(c.numbers) != n || len(slices.Compact(c.numbers)) != n || n > 0 && (c.numbers[0] != 0 || c.numbers[n-1] != n-1) {
		t.Errorf("%d requests were sent; want each number below %d once", len(c.numbers), n)
	}
	if c.doubled {
		t.Error("a worker sent two requests at once")
	}
}

// mixed fails two requests of five, one of them without a class. The others succeed in
// two classes.
func mixed(n int) (string, error) {
	switch {
	case n%5 == 0:
		return "refused", errors.New("no room")
	case n%5 == 1:
		return "", errors.New("broke")
	case n%2 == 0:
		return "even", nil
	}
	return "odd", nil
}

type load interface {
	Run(context.Context, Request) (*Result, error)
}

func TestEveryRequestIsDoneOnceAndInOneClass(t *testing.T) {
	for name, l := range map[string]load{
		"closed": Closed{Clients: 8, Requests: 25},
		"burst":  Burst{Size: 200},
	} {
		t.Run(name, func(t *testing.T) {
			var c calls
			r, err := l.Run(t.Context(), c.then(mixed))
			if err != nil {
				t.Fatal(err)
			}
			c.wantNumbers(t, 200)
			if r.Requests != 200 || r.Served != 120 || r.Failures() != 80 ||
				r.Count("refused") != 40 || r.Count(Failed) != 40 || r.Count("even") != 60 || r.Count("odd") != 60 {
				t.Errorf("%+v", r)
			}
			var order []string
			for _, class := range r.Classes {
				order = append(order, class.Class)
				var buckets int64
				for _, b := range class.Latency.Buckets {
					buckets += b.Count
				}
				if int(buckets) != class.Count {
					t.Errorf("%s: %d in the histogram, %d counted", class.Class, buckets, class.Count)
				}
			}
			if !slices.Equal(order, []string{"even", "odd", Failed, "refused"}) {
				t.Errorf("classes in order %v", order)
			}
		})
	}
}

func TestAClosedLoadsClientsSendOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Closed{Clients: 2, Requests: 3}.Run(t.Context(), func(_ context.Context, _, n int) (string, error) {
			time.Sleep(time.Duration(n+1) * time.Second)
			return "ok", nil
		})
		// The second client's three requests take 4, 5 and 6 seconds.
		if err != nil || r.WallSeconds != 15 || math.Abs(r.ServedPerSecond-6.0/15) > 1e-9 {
			t.Errorf("%v %+v", err, r)
		}
		near(t, "p50", r.Latency.P50, 3000)
		near(t, "max", r.Latency.Max, 6000)
		near(t, "mean", r.Latency.Mean, 3500)
	})
}

func TestABurstIsReleasedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var begun []time.Time
		r, err := Burst{Size: 50}.Run(t.Context(), func(_ context.Context, _, n int) (string, error) {
			mu.Lock()
			begun = append(begun, time.Now())
			mu.Unlock()
			time.Sleep(time.Second)
			return "ok", nil
		})
		if err != nil || r.WallSeconds != 1 || slices.MinFunc(begun, time.Time.Compare) != slices.MaxFunc(begun, time.Time.Compare) {
			t.Errorf("%v %+v", err, r)
		}
	})
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want/1000+0.001 { // three digits
		t.Errorf("%s is %v ms, want %v", what, got, want)
	}
}

func TestALoadThatIsToldToStop(t *testing.T) {
	for name, l := range map[string]load{
		"closed": Closed{Clients: 3, Requests: 1000},
		"open":   Open{Rate: 100, For: time.Hour, Clients: 3, InFlight: 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				why := errors.New("enough")
				ctx, stop := context.WithCancelCause(t.Context())
				var c calls
				r, err := l.Run(ctx, c.then(func(int) (string, error) {
					time.Sleep(time.Second)
					stop(why)
					return "ok", nil
				}))
				if !errors.Is(err, why) || r.Served == 0 || r.Served > 10 || len(c.numbers) != r.Served {
					t.Errorf("%v %+v", err, r)
				}
			})
		})
	}
}

func TestALoadOfNothingIsRefused(t *testing.T) {
	for _, l := range []load{
		Closed{}, Closed{Clients: 1}, Burst{}, Open{}, Open{Rate: math.NaN(), For: 1, Clients: 1, InFlight: 1},
	} {
		if _, err := l.Run(t.Context(), nil); err == nil {
			t.Errorf("%+v ran", l)
		}
	}
}

func TestAResultIsPrintedAndIsJSON(t *testing.T) {
	r, err := Closed{Clients: 2, Requests: 10}.Run(t.Context(), func(_ context.Context, _, n int) (string, error) { return mixed(n) })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OUTCOME", "P99 MS", "even", "0.300", "all served", "20 requests", "refused, for example: no room"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(b, &back); err != nil || back.Count("even") != 6 || back.Latency.P99 != r.Latency.P99 {
		t.Errorf("%v %s", err, b)
	}
}

// BenchmarkClosed measures the cost of the measurement itself per request.
func BenchmarkClosed(b *testing.B) {
	b.ReportAllocs()
	r, err := Closed{Clients: 32, Requests: b.N/32 + 1}.Run(b.Context(), func(context.Context, int, int) (string, error) { return "ok", nil })
	if err != nil || r.Served < b.N {
		b.Fatal(err, r)
	}
}
