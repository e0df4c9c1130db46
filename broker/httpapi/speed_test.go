package httpapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/httpapi"
)

// BenchmarkLaunch measures the edge's part of a launch: from the request's bytes to the
// answer's, with a broker that answers immediately.
func BenchmarkLaunch(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	handler := httpapi.New(newFake().broker(), httpapi.Options{Log: logrus.NewEntry(log), Registry: prometheus.NewRegistry()})
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/sessions?wait=30s", strings.NewReader(launchBody))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k-1")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}
