package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// maxAnswer bounds what is read of a collector's answer.
const maxAnswer = 4 << 10

// upload is OTLP over HTTP with protobuf, and implements otlptrace.Client.
type upload struct {
	url     string
	headers map[string]string
	http    *http.Client
}

// Start implements otlptrace.Client. There is nothing to do before the first upload.
func (u *upload) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (u *upload) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client. It does not retry: what is late is dropped.
func (u *upload) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire it is an ExportTraceServiceRequest: both have the spans as their first field.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("otlp: encode spans: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("otlp: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	for name, value := range u.headers {
		r.Header.Set(name, value)
	}
	answer, err := u.http.Do(r)
	if err != nil {
		return fmt.Errorf("otlp: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // so that the connection is used again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("otlp: the collector answered %s", answer.Status)
	}
	return nil
}
