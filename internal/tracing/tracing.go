package tracing

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// uploadTimeout bounds one upload. The queue goes on filling meanwhile.
	uploadTimeout = 5 * time.Second
	// maxQueue bounds the spans that wait for an upload. Past it they are dropped.
	maxQueue = 4096
	// flushTimeout bounds the last upload, when the program stops.
	flushTimeout = 3 * time.Second
)

// Settings are where spans go.
type Settings struct {
	// URL takes POSTs of traces, such as http://127.0.0.1:4318/v1/traces.
	URL string
	// Ratio is the share of traces that are sampled, of those whose caller has not decided that.
	Ratio float64
	// Headers are sent with each upload. They may be secret.
	Headers map[string]string
	// TLS is for an https URL; nil for the system's authorities.
	TLS *tls.Config
	// Service is this program's name in the traces, unless OTEL_SERVICE_NAME sets another.
	Service string
	// Interval is how long spans are gathered for an upload; 0 is five seconds.
	Interval time.Duration
}

// Tracing exports spans until it is closed.
type Tracing struct {
	provider *sdktrace.TracerProvider
	idle     *http.Transport
}

// Open returns what exports spans. It dials nothing: a collector may come later, or never.
func Open(s Settings, log *logrus.Entry) (*Tracing, error) {
	ctx := context.Background()
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", s.Service)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	to, err := url.Parse(s.URL)
	if err != nil {
		return nil, fmt.Errorf("tracing: the collector's URL: %w", err)
	}
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.TLSClientConfig = s.TLS
	up := &upload{url: s.URL, headers: s.Headers, http: &http.Client{Transport: own, CheckRedirect: noRedirect}}
	exporter, err := otlptrace.New(ctx, up)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	batches := []sdktrace.BatchSpanProcessorOption{sdktrace.WithMaxQueueSize(maxQueue), sdktrace.WithExportTimeout(uploadTimeout)}
	if s.Interval > 0 {
		batches = append(batches, sdktrace.WithBatchTimeout(s.Interval))
	}
	return &Tracing{
		provider: sdktrace.NewTracerProvider(
			sdktrace.WithResource(about),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(s.Ratio))),
			sdktrace.WithBatcher(&reported{SpanExporter: exporter, url: to.Redacted(), log: log}, batches...),
		),
		idle: own,
	}, nil
}

// noRedirect keeps headers, which may be secret, from another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close uploads what is left, for a moment, and stops. Spans that end later are dropped.
func (t *Tracing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	defer t.idle.CloseIdleConnections()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("tracing: the last spans were not exported: %w", err)
	}
	return nil
}

// reported is an exporter whose failures are in the log: the first one, and that it works again.
type reported struct {
	sdktrace.SpanExporter
	url    string
	log    *logrus.Entry
	failed atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. Spans that are not taken are dropped.
func (r *reported) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && r.failed.CompareAndSwap(false, true):
		r.log.WithError(err).Warnf("the collector of traces at %s does not take spans; they are dropped until it does, and nothing waits for it", r.url)
	case err == nil && r.failed.CompareAndSwap(true, false):
		r.log.Infof("the collector of traces at %s takes spans again", r.url)
	}
	return nil
}
