package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "github.com/greenroom/greenroom"

// Span is a part of a trace. The zero value is none, and its methods do nothing.
type Span struct{ of trace.Span }

// Start begins a span within the one of a context, and returns the context with it. Without one, or in
// a trace that is not sampled, there is no span, and the context is returned as it is.
func Start(ctx context.Context, name string) (context.Context, Span) { return start(ctx, name) }

func start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, options...)
	return ctx, Span{span}
}

// Set sets an attribute, unless the value is empty.
func (s Span) Set(key, value string) {
	if s.of != nil && value != "" {
		s.of.SetAttributes(attribute.String(key, value))
	}
}

// SetInt sets an attribute that is a number.
func (s Span) SetInt(key string, value int) {
	if s.of != nil {
		s.of.SetAttributes(attribute.Int(key, value))
	}
}

// Rename changes the span's name, once it is known better.
func (s Span) Rename(name string) {
	if s.of != nil {
		s.of.SetName(name)
	}
}

// Fail marks the span as failed, and says why.
func (s Span) Fail(why string) {
	if s.of != nil {
		s.of.SetStatus(codes.Error, why)
	}
}

// End ends the span. With an error it has failed.
func (s Span) End(err error) {
	if s.of == nil {
		return
	}
	if err != nil {
		s.of.SetStatus(codes.Error, err.Error())
	}
	s.of.End()
}

// ID returns the id of a context's trace, for log lines; "" where there is none, or it is not sampled.
func ID(ctx context.Context) string {
	if of := trace.SpanContextFromContext(ctx); of.IsSampled() {
		return of.TraceID().String()
	}
	return ""
}

// Request begins the span of a request that was received: within the trace that its headers name
// (traceparent, tracestate), or a new one.
func (t *Tracing) Request(r *http.Request) (context.Context, Span) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.provider.Tracer(scope).Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method)))
	return ctx, Span{span}
}

// transport makes a span of each call, and tells the server its trace.
type transport struct {
	next   http.RoundTripper
	server string
}

// Transport returns next with a span for each call to a server, named after it, that is made within a
// trace. The calls carry the trace in their headers.
func Transport(next http.RoundTripper, server string) http.RoundTripper {
	return transport{next, server}
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := start(r.Context(), t.server, trace.WithSpanKind(trace.SpanKindClient))
	if span.of == nil {
		return t.next.RoundTrip(r)
	}
	r = r.Clone(ctx)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	span.Rename(t.server + " " + r.Method)
	span.Set("http.request.method", r.Method)
	span.Set("url.path", r.URL.Path)
	answer, err := t.next.RoundTrip(r)
	if err == nil {
		span.SetInt("http.response.status_code", answer.StatusCode)
	}
	span.End(err)
	return answer, err
}

// Within returns a context with the span in it, for calls under another context than that of Start.
func (s Span) Within(ctx context.Context) context.Context {
	if s.of == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.of)
}
