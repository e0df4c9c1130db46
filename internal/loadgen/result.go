package loadgen

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// errNotSent is why a request is in the class NotSent.
var errNotSent = errors.New("as many requests as may be in flight were unanswered when it was due")

// Result is what became of a load.
type Result struct {
	// Requests were due; of those Served did not fail.
	Requests int `json:"requests"`
	Served   int `json:"served"`
	// WallSeconds is from the start to the last answer.
	WallSeconds float64 `json:"wall_seconds"`
	// ServedPerSecond is Served by WallSeconds.
	ServedPerSecond float64 `json:"served_per_second"`
	// OfferedPerSecond is how many of an open load were due in a second; 0 of others,
	// which send as fast as they are answered.
	OfferedPerSecond float64 `json:"offered_per_second,omitempty"`
	// Latency is that of all that were served, of every class; nil where none was.
	Latency *Latency `json:"latency,omitempty"`
	// Classes are the outcomes: those that were served, then those that failed.
	Classes []Class `json:"classes"`
}

// Class is one kind of outcome.
type Class struct {
	Class  string `json:"class"`
	Failed bool   `json:"failed"`
	Count  int    `json:"count"`
	// Example is the text of the first failure.
	Example string `json:"example,omitempty"`
	// Latency is nil where nothing was sent.
	Latency *Latency `json:"latency,omitempty"`
}

// Latency is how long requests took, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Mean float64 `json:"mean_ms"`
	// Buckets are the histogram itself, without those that are empty: add those of
	// several runs to sum them up.
	Buckets []Bucket `json:"buckets"`
}

// Bucket is how many requests took from more than the bucket before up to UpTo
// milliseconds.
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

// ms gives a histogram's value in milliseconds.
func ms(v int64) float64 { return float64(v) * float64(unit) / float64(time.Millisecond) }

// Count is how many outcomes are in a class, served and failed.
func (r *Result) Count(class string) int {
	n := 0
	for _, c := range r.Classes {
		if c.Class == class {
			n += c.Count
		}
	}
	return n
}

// Failures is how many failed, those that were not sent among them.
func (r *Result) Failures() int { return r.Requests - r.Served }

// Print writes the result as a table, an outcome a line, and an example of each
// kind of failure below it.
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
