package loadgen

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A histogram covers microseconds up to an hour with three significant digits. Longer
// durations count as an hour.
const (
	unit    = time.Microsecond
	longest = time.Hour
	digits  = 3
)

// recorder collects the outcomes of one run.
type recorder struct {
	began   time.Time
	mu      sync.Mutex
	ended   time.Time
	classes map[kind]*outcomes
}

// kind is a class and whether its requests failed.
type kind struct {
	class  string
	failed bool
}

// outcomes counts the requests of one kind.
type outcomes struct {
	count   int
	latency *hdrhistogram.Histogram
	// example is the error text of the first failure.
	example string
}

func newRecorder() *recorder { return &recorder{began: time.Now(), classes: map[kind]*outcomes{}} }

// do sends one request and records it. Its latency counts from the intended start.
func (r *recorder) do(ctx context.Context, do Request, worker, n int, intended time.Time) {
	class, err := do(ctx, worker, n)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.count(class, err)
	if o.latency == nil {
		o.latency = newHistogram()
	}
	record(o.latency, now.Sub(intended))
	r.ended = now
}

// notSent records a request that was not sent because too many were in flight.
func (r *recorder) notSent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(NotSent, errNotSent)
}

// count counts an outcome and returns the outcomes of its kind.
func (r *recorder) count(class string, err error) *outcomes {
	if class == "" && err != nil {
		class = Failed
	}
	k := kind{class, err != nil}
	o := r.classes[k]
	if o == nil {
		o = new(outcomes)
		if err != nil {
			o.example = err.Error()
		}
		r.classes[k] = o
	}
	o.count++
	return o
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(longest/unit), digits) }

// record adds a duration to a histogram.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	// RecordValue cannot fail for a value within the histogram's range.
	_ = h.RecordValue(int64(min(max(d, 0), longest) / unit))
}

// result returns the result of the run after its last request has ended. Classes of
// successes come first, then those of failures, each sorted by name.
func (r *recorder) result() *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &Result{Began: r.began}
	served := newHistogram()
	if !r.ended.IsZero() {
		res.WallSeconds = r.ended.Sub(r.began).Seconds()
	}
	for k, o := range r.classes {
		res.Requests += o.count
		c := Class{Class: k.class, Failed: k.failed, Count: o.count, Example: o.example}
		if o.latency != nil {
			c.Latency = latencyOf(o.latency)
		}
		if !k.failed {
			res.Served += o.count
			served.Merge(o.latency)
		}
		res.Classes = append(res.Classes, c)
	}
	slices.SortFunc(res.Classes, func(a, b Class) int {
		if a.Failed != b.Failed {
			if b.Failed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Class, b.Class)
	})
	if res.Served > 0 {
		res.Latency = latencyOf(served)
	}
	if res.WallSeconds > 0 {
		res.ServedPerSecond = float64(res.Served) / res.WallSeconds
	}
	return res
}
