// Package tracingtest is a collector of traces for tests: it takes OTLP over HTTP as any collector does.
package tracingtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector keeps the spans that it was sent. It may be used concurrently.
type Collector struct {
	// URL is its address, below which it takes traces at /v1/traces.
	URL string

	mu      sync.Mutex
	spans   []Span
	headers http.Header
	refused int
	refuses bool
}

// Span is a span of a service.
type Span struct {
	*tracepb.Span
	Service string
}

// Trace and Parent are ids in hexadecimal; Parent is "" for a span without one.
func (s Span) Trace() string  { return fmt.Sprintf("%x", s.TraceId) }
func (s Span) ID() string     { return fmt.Sprintf("%x", s.SpanId) }
func (s Span) Parent() string { return fmt.Sprintf("%x", s.ParentSpanId) }

// Attribute returns an attribute as text; "" where the span does not have it.
func (s Span) Attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key != key {
			continue
		}
		if text := a.Value.GetStringValue(); text != "" {
			return text
		}
		return fmt.Sprint(a.Value.GetIntValue())
	}
	return ""
}

// New starts a collector, which stops with the test.
func New(t testing.TB) *Collector {
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	var sent tracepb.TracesData
	if c.refuses {
		c.refused++
		http.Error(w, "refused, as the test wants it", http.StatusServiceUnavailable)
		return
	}
	if err == nil && r.URL.Path == "/v1/traces" && r.Header.Get("Content-Type") == "application/x-protobuf" {
		err = proto.Unmarshal(body, &sent)
	} else if err == nil {
		err = fmt.Errorf("%s %s with %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.headers = r.Header.Clone()
	for _, of := range sent.ResourceSpans {
		service := ""
		for _, a := range of.Resource.GetAttributes() {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, span := range scope.Spans {
				c.spans = append(c.spans, Span{span, service})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Refuse has the collector refuse what it is sent, or take it again.
func (c *Collector) Refuse(refuses bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses = refuses
}

// Refused returns how often it has refused.
func (c *Collector) Refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Headers are those of the last upload that it took.
func (c *Collector) Headers() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers
}

// Of returns the spans of a trace, in the order of their begins.
func (c *Collector) Of(trace string) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Span
	for _, s := range c.spans {
		if s.Trace() == trace {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	return all
}

// Tree returns a trace below a span as one line, such as "launch(resolve claim)". The children of a span
// are in the order of their begins; keep says which spans are shown.
func Tree(all []Span, root string, keep func(Span) bool) string {
	var texts []string
	for _, s := range all {
		if s.Parent() != root || !keep(s) {
			continue
		}
		text := s.Name
		if below := Tree(all, s.ID(), keep); below != "" {
			text += "(" + below + ")"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}
