package loadgen

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// errNotSent is the error of requests in the class NotSent.
var errNotSent = errors.New("when the request was due, the maximum number of requests was already in flight")

// Result is the result of one run of a load.
type Result struct {
	// Began is when the load began.
	Began time.Time `json:"began"`
	// Requests is the number of due requests, and Served the number of those that
	// succeeded.
	Requests int `json:"requests"`
	Served   int `json:"served"`
	// WallSeconds is the time from the start to the last answer.
	WallSeconds float64 `json:"wall_seconds"`
	// ServedPerSecond is Served divided by WallSeconds.
	ServedPerSecond float64 `json:"served_per_second"`
	// OfferedPerSecond is the rate at which an open load's requests were due. It is 0
	// for the other loads, because their rate depends on the answers.
	OfferedPerSecond float64 `json:"offered_per_second,omitempty"`
	// Latency is the latency of all served requests together, or nil if there are none.
	Latency *Latency `json:"latency,omitempty"`
	// Classes are the outcomes, served classes first, then failed ones.
	Classes []Class `json:"classes"`
}

// Class is one kind of outcome.
type Class struct {
	Class  string `json:"class"`
	Failed bool   `json:"failed"`
	Count  int    `json:"count"`
	// Example is the error text of the first failure.
	Example string `json:"example,omitempty"`
	// Latency is nil for NotSent: a request that was not sent has none.
	Latency *Latency `json:"latency,omitempty"`
}

// Latency is a distribution of latencies in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Mean float64 `json:"mean_ms"`
	// Buckets are the histogram without its empty buckets. Add up the buckets of
	// several runs to combine them.
	Buckets []Bucket `json:"buckets"`
}

// Bucket counts the requests that took at most UpTo milliseconds, and longer than the
// limit of the bucket before it.
type Bucket struct {
	UpTo  float64 `json:"up_to_ms"`
	Count int64   `json:"count"`
}

func latencyOf(h *hdrhistogram.Histogram) *Latency {
	l := &Latency{
		P50: ms(h.ValueAtPercentile(50)), P90: ms(h.ValueAtPercentile(90)), P99: ms(h.ValueAtPercentile(99)),
		Max: ms(h.Max()), Mean: h.Mean() * ms(1),
	}
	for _, b := range h.Distribution() {
		if b.Count > 0 {
			l.Buckets = append(l.Buckets, Bucket{ms(b.To), b.Count})
		}
	}
	return l
}

// ms returns a histogram's value in milliseconds.
func ms(v int64) float64 { return float64(v) * float64(unit) / float64(time.Millisecond) }

// Count returns the number of outcomes of a class, served and failed.
func (r *Result) Count(class string) int {
	n := 0
	for _, c := range r.Classes {
		if c.Class == class {
			n += c.Count
		}
	}
	return n
}

// Failures returns the number of failed requests, including those not sent.
func (r *Result) Failures() int { return r.Requests - r.Served }

// Print writes the result as a table with one line per class, and below it an example
// of each class of failures.
func (r *Result) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "OUTCOME\tCOUNT\tSHARE\tP50 MS\tP90 MS\tP99 MS\tMAX MS\t")
	for _, c := range r.Classes {
		r.printLine(t, c.Class, c.Count, c.Latency)
	}
	if r.Served > 0 {
		r.printLine(t, "all served", r.Served, r.Latency)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	rate := fmt.Sprintf("%.1f served a second", r.ServedPerSecond)
	if r.OfferedPerSecond > 0 {
		rate += fmt.Sprintf(", %.1f a second were due", r.OfferedPerSecond)
	}
	_, err := fmt.Fprintf(w, "%d requests in %.3f s: %s\n", r.Requests, r.WallSeconds, rate)
	for _, c := range r.Classes {
		if c.Example != "" {
			_, err = fmt.Fprintf(w, "%s, for example: %s\n", c.Class, c.Example)
		}
	}
	return err
}

func (r *Result) printLine(w io.Writer, name string, count int, l *Latency) {
	fmt.Fprintf(w, "%s\t%d\t%.3f\t", name, count, float64(count)/float64(max(r.Requests, 1)))
	if l == nil {
		fmt.Fprintln(w, "-\t-\t-\t-\t")
		return
	}
	fmt.Fprintf(w, "%.2f\t%.2f\t%.2f\t%.2f\t\n", l.P50, l.P90, l.P99, l.Max)
}
