package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/tracing"
	"github.com/greenroom/greenroom/internal/tracing/tracingtest"
)

const (
	callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan  = "00f067aa0ba902b7"
)

// logged is a log that a test reads.
func logged() (*logrus.Entry, *bytes.Buffer) {
	var text bytes.Buffer
	log := logrus.New()
	log.SetOutput(&text)
	return logrus.NewEntry(log), &text
}

// request is one that a caller sends within a trace, sampled or not.
func request(flags string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/sessions", nil)
	r.Header.Set("traceparent", "00-"+callersTrace+"-"+callersSpan+"-"+flags)
	return r
}

// TestSpansAreExported within the caller's trace, with what they are told, when the program stops at the
// latest; also those of calls to servers, which learn of the trace.
func TestSpansAreExported(t *testing.T) {
	collector := tracingtest.New(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	log, text := logged()
	traces, err := tracing.Open(tracing.Settings{URL: collector.URL + "/v1/traces", Ratio: 0, Headers: map[string]string{"Authorization": "key"}, Service: "s"}, log)
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Get("traceparent") }))
	defer server.Close()
	ctx, root := traces.Request(request("01"))
	root.Rename("POST /v1/sessions")
	inner, span := tracing.Start(ctx, "claim")
	span.Set("k", "v")
	call, err := http.NewRequestWithContext(inner, http.MethodGet, server.URL+"/v1/kv/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	own := &http.Transport{}
	defer own.CloseIdleConnections()
	answer, err := (&http.Client{Transport: tracing.Transport(own, "consul")}).Do(call)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	span.End(errors.New("it failed"))
	root.End(nil)
	if id := tracing.ID(ctx); id != callersTrace {
		t.Errorf("the trace is %s", id)
	}
	if err := traces.Close(); err != nil {
		t.Fatal(err)
	}
	all := collector.Of(callersTrace)
	if tree := tracingtest.Tree(all, callersSpan, func(tracingtest.Span) bool { return true }); tree != "POST /v1/sessions(claim(consul GET))" {
		t.Fatalf("%q; log: %s", tree, text)
	}
	if s := all[1]; s.Attribute("k") != "v" || s.Status.GetMessage() != "it failed" || s.Service != "s" || collector.Headers().Get("Authorization") != "key" {
		t.Errorf("%v, headers %v", s, collector.Headers())
	}
	if root, claim, call := all[0].GetKind(), all[1].GetKind(), all[2].GetKind(); root != tracepb.Span_SPAN_KIND_SERVER || claim != tracepb.Span_SPAN_KIND_INTERNAL || call != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("the kinds are %s, %s and %s", root, claim, call)
	}
	if want := "00-" + callersTrace + "-" + all[2].ID() + "-01"; told != want {
		t.Errorf("the server was told %q, want %q", told, want)
	}
}

// TestWhatIsNotSampledIsNotTraced: neither by the ratio, nor by the caller's word.
func TestWhatIsNotSampledIsNotTraced(t *testing.T) {
	for name, c := range map[string]struct {
		r     *http.Request
		ratio float64
	}{
		"ratio":  {httptest.NewRequest(http.MethodGet, "/", nil), 0},
		"caller": {request("00"), 1},
	} {
		collector := tracingtest.New(t)
		log, _ := logged()
		traces, err := tracing.Open(tracing.Settings{URL: collector.URL + "/v1/traces", Ratio: c.ratio}, log)
		if err != nil {
			t.Fatal(err)
		}
		ctx, root := traces.Request(c.r)
		if inner, _ := tracing.Start(ctx, "claim"); inner != ctx || tracing.ID(ctx) != "" {
			t.Errorf("%s: there is a span, of trace %q", name, tracing.ID(ctx))
		}
		root.End(nil)
		if err := traces.Close(); err != nil || collector.Headers() != nil {
			t.Errorf("%s: something was exported: %v, %v", name, collector.Headers(), err)
		}
	}
}

// TestACollectorThatIsAwaySlowsNobody, and is in the log once, as is that it is back, without the password of its URL.
func TestACollectorThatIsAwaySlowsNobody(t *testing.T) {
	collector := tracingtest.New(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	collector.Refuse(true)
	log, text := logged()
	to := strings.Replace(collector.URL, "://", "://greenroom:passphrase@", 1)
	traces, err := tracing.Open(tracing.Settings{URL: to + "/v1/traces", Ratio: 1, Interval: time.Millisecond}, log)
	if err != nil {
		t.Fatal(err)
	}
	span := func() {
		_, root := traces.Request(httptest.NewRequest(http.MethodGet, "/", nil))
		root.End(nil)
	}
	limit := time.Now().Add(20 * time.Second)
	for collector.Refused() < 3 && time.Now().Before(limit) {
		span()
	}
	collector.Refuse(false)
	for collector.Headers() == nil && time.Now().Before(limit) {
		span()
	}
	if err := traces.Close(); err != nil {
		t.Error(err)
	}
	if lines := text.String(); strings.Count(lines, "does not take spans") != 1 || strings.Count(lines, "takes spans again") != 1 || strings.Contains(lines, "passphrase") {
		t.Errorf("after %d refusals:\n%s", collector.Refused(), lines)
	}
}

// TestStoppingDoesNotWaitForACollectorThatHangs for longer than the deadline.
func TestStoppingDoesNotWaitForACollectorThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, _ := logged()
	traces, err := tracing.Open(tracing.Settings{URL: "http://" + l.Addr().String() + "/v1/traces", Ratio: 1}, log)
	if err != nil {
		t.Fatal(err)
	}
	_, root := traces.Request(httptest.NewRequest(http.MethodGet, "/", nil))
	root.End(nil)
	done := make(chan error, 1)
	go func() { done <- traces.Close() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it waits on")
	}
}

// TestOffCostsNothing: without a trace there is no span, and nothing is allocated.
func TestOffCostsNothing(t *testing.T) {
	ctx := context.WithValue(t.Context(), key{}, "a request's")
	if n := testing.AllocsPerRun(100, func() { off(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// key is that of a value that has nothing to do with traces.
type key struct{}

// off is what a part of a launch does, without a trace.
func off(ctx context.Context) {
	ctx, span := tracing.Start(ctx, "claim")
	span.Set("greenroom.zone", "east")
	span.SetInt("greenroom.sessions", 1)
	_ = span.Within(ctx)
	_ = tracing.ID(ctx)
	span.End(nil)
}

func BenchmarkOff(b *testing.B) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		off(ctx)
	}
}

func BenchmarkOn(b *testing.B) {
	collector := tracingtest.New(b)
	log, _ := logged()
	traces, err := tracing.Open(tracing.Settings{URL: collector.URL + "/v1/traces", Ratio: 1}, log)
	if err != nil {
		b.Fatal(err)
	}
	ctx, root := traces.Request(request("01"))
	b.ReportAllocs()
	for b.Loop() {
		off(ctx)
	}
	b.StopTimer()
	root.End(nil)
	if err := traces.Close(); err != nil {
		b.Fatal(err)
	}
}
