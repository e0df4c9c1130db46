package loadgen

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a histogram tells apart: microseconds up to an hour, to three digits. Longer
// ones count as an hour.
const (
	unit    = time.Microsecond
	longest = time.Hour
	digits  = 3
)

// recorder gathers the outcomes of one run.
type recorder struct {
	began   time.Time
	mu      sync.Mutex
	ended   time.Time
	classes map[kind]*outcomes
}

// kind is a class, of successes or of failures.
type kind struct {
	class  string
	failed bool
}

// outcomes are those of one kind.
type outcomes struct {
	count   int
	latency *hdrhistogram.Histogram
	// example is the text of the first failure.
	example string
}

func newRecorder() *recorder { return &recorder{began: time.Now(), classes: map[kind]*outcomes{}} }

// do does one request that was meant to start at a moment, and records it.
func (r *recorder) do(ctx context.Context, do Request, worker, n int, meant time.Time) {
	class, err := do(ctx, worker, n)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.of(class, err)
	if o.latency == nil {
		o.latency = newHistogram()
	}
	record(o.latency, now.Sub(meant))
	r.ended = now
}

// notSent records a request that found no room.
func (r *recorder) notSent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(NotSent, errNotSent)
}

// of counts an outcome and gives its kind's.
func (r *recorder) of(class string, err error) *outcomes {
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

func record(h *hdrhistogram.Histogram, d time.Duration) {
	// Within the bounds it cannot fail.
	_ = h.RecordValue(int64(min(max(d, 0), longest) / unit))
}

// result sums up, once everything has ended: successes first, then failures, each
// by class.
func (r *recorder) result() *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &Result{}
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
