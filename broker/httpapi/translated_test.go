package httpapi_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
)

// translatedBy returns an API that becomes one call of ours, whose answer is its own.
func translatedBy(method, target, body string) func(http.Handler) http.Handler {
	return func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner := httptest.NewRequestWithContext(r.Context(), method, target, strings.NewReader(body))
			inner.Host = r.Host
			inner.Header.Set("Content-Type", "application/json")
			api.ServeHTTP(w, inner)
		})
	}
}

// TestATranslatedRequestHoldsNoPlaceWhileItsCallsWait: those have their own, and a request from
// the same address that anybody may make is served meanwhile.
func TestATranslatedRequestHoldsNoPlaceWhileItsCallsWait(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	f := newFake()
	f.launch = func(context.Context, launch.Request) (launch.Result, error) {
		close(began)
		<-end
		return launch.Result{Session: assignedSession()}, nil
	}
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Translated = translatedBy("POST", "/v1/sessions", launchBody)
		o.Bounds = httpapi.Bounds{Open: 1, OpenPerAddress: 1}
	})
	answered := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/api/launch", strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "application/json")
		e.handler.ServeHTTP(w, r)
		answered <- w.Code
	}()
	<-began
	if got := e.do("GET", "/v1/openapi.yaml", ""); got.status != http.StatusOK {
		t.Errorf("an open request meanwhile: %d %s", got.status, got.body)
	}
	close(end)
	if status := <-answered; status != http.StatusCreated {
		t.Errorf("the launch is answered %d", status)
	}
}

// TestARefusedTranslatedRequestHasAnErrorMessage, also if it does not reach the translation.
func TestARefusedTranslatedRequestHasAnErrorMessage(t *testing.T) {
	reached := false
	translated := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			reached = true
			if r.URL.Path == "/api/panic" {
				panic("a secret")
			}
		})
	}
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Translated = translated })
	elsewhere := func(r *http.Request) {
		r.Host = "evil.example.org"
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7480})))
	}
	for _, tt := range []struct {
		name, path, body string
		adjust           func(*http.Request)
		status           int
		reached          bool
	}{
		{"a page whose name means this machine", "/api/x", `{}`, elsewhere, 403, false},
		{"a large body", "/api/x", `"` + strings.Repeat("x", 64<<10) + `"`, nil, 413, false},
		{"a form", "/api/x", `{}`, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, false},
		{"a defect", "/api/panic", `{}`, nil, 500, true},
	} {
		reached = false
		r := httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", "application/json")
		if tt.adjust != nil {
			tt.adjust(r)
		}
		w := httptest.NewRecorder()
		e.handler.ServeHTTP(w, r)
		if got := w.Body.String(); w.Code != tt.status || reached != tt.reached || !strings.HasPrefix(got, `{"error_message":"`) || strings.Contains(got, "secret") {
			t.Errorf("%s: %d %s, reached %t", tt.name, w.Code, got, reached)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the headers are %v", tt.name, w.Header())
		}
	}
}

// TestWithoutATranslationThereIsNoSuchPath.
func TestWithoutATranslationThereIsNoSuchPath(t *testing.T) {
	newEdge(t, newFake()).do("POST", "/api/public/request_kasm", `{}`).expect(t, 404, "route_not_found")
}
