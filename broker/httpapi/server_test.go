package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// guardedBy is a guard with the broker's own token and no other.
func guardedBy(token string) access.Guard {
	none := access.NewTokens(nil, 1, nil)
	return access.Guard{On: true, Agent: access.Hash(token), Tokens: func() *access.Tokens { return none }}
}

func TestToken(t *testing.T) {
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = guardedBy("open sesame") })
	for _, tt := range []struct {
		path, given string
		status      int
	}{
		{"/v1/sessions", "", 401},
		{"/v1/sessions", "Bearer wrong", 401},
		{"/v1/sessions", "Basic open sesame", 401},
		{"/v1/sessions", "Bearer", 401},
		{"/v1/nothing", "", 401},
		{"/v1/openapi.yaml", "", 200},
		{"/v1/sessions", "Bearer open sesame", 200},
		{"/v1/sessions", "bearer open sesame", 200},
		{"/v1/health/live", "", 200},
		{"/v1/health/ready", "", 200},
		{"/metrics", "", 200},
	} {
		var adjust []func(*http.Request)
		if tt.given != "" {
			adjust = append(adjust, header("Authorization", tt.given))
		}
		got := e.do("GET", tt.path, "", adjust...)
		if got.status != tt.status {
			t.Errorf("%s with %q: %d, want %d", tt.path, tt.given, got.status, tt.status)
		}
		if got.status == 401 {
			got.expect(t, 401, "unauthorized")
			if got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", tt.path)
			}
		}
	}
	if strings.Contains(e.log.String(), "sesame") {
		t.Errorf("the log holds the token: %s", e.log)
	}
}

func TestRequestID(t *testing.T) {
	e := newEdge(t, newFake())
	if got := e.do("GET", "/v1/zones", "", header("X-Request-Id", "mine:1.2-3_4")); got.header.Get("X-Request-Id") != "mine:1.2-3_4" {
		t.Errorf("a sane id became %q", got.header.Get("X-Request-Id"))
	}
	for _, id := range []string{"a b", "ü", "\"x\"", strings.Repeat("x", 129)} {
		if got := e.do("GET", "/v1/zones", "", header("X-Request-Id", id)); got.header.Get("X-Request-Id") == id {
			t.Errorf("%q was taken over", id)
		}
	}
	if n := strings.Count(e.log.String(), "\n"); n != 5 {
		t.Errorf("%d lines of log for 5 requests", n)
	}
}

func TestMetricsAndContractAreServed(t *testing.T) {
	e := newEdge(t, newFake())
	e.do("GET", "/v1/zones/none", "")
	e.do("GET", "/no/such/path", "")
	e.do("BREW", "/v1/zones", "")
	got := e.do("GET", "/metrics", "")
	for _, line := range []string{
		`greenroom_http_requests_total{code="404",method="GET",route="/v1/zones/:name"} 1`,
		`greenroom_http_requests_total{code="404",method="GET",route="unmatched"} 1`,
		`greenroom_http_requests_total{code="405",method="other",route="unmatched"} 1`,
		`greenroom_http_request_duration_seconds_count{method="GET",route="/v1/zones/:name"} 1`,
	} {
		if !strings.Contains(string(got.body), line) {
			t.Errorf("/metrics lacks %s in:\n%s", line, got.body)
		}
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.do("GET", "/v1/openapi.yaml", ""); got.status != 200 || string(got.body) != string(want) {
		t.Errorf("the contract is not served as it is written: %d, %d bytes", got.status, len(got.body))
	}
}

func TestServerIsBounded(t *testing.T) {
	s := httpapi.NewServer("127.0.0.1:0", http.NotFoundHandler(), 10, nil)
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("a bound is missing: %+v", s)
	}
	if s.WriteTimeout <= launch.MaxWait+staging.MaxHookTimeout {
		t.Errorf("an answer may take %s, which a launch may need", s.WriteTimeout)
	}
}

func decoded(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}

// TestAPageAnswersForAddressesOutsideTheAPIAlone, and only if it wants to.
func TestAPageAnswersForAddressesOutsideTheAPIAlone(t *testing.T) {
	wants := true
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Missing = func(c *gin.Context) bool {
			if wants {
				c.Status(http.StatusTeapot)
			}
			return wants
		}
	})
	// Beside the contract, which has no pages.
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, httptest.NewRequest("GET", "/lanch", nil))
	if w.Code != http.StatusTeapot {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	e.do("GET", "/v1/lanch", "").expect(t, 404, "route_not_found")
	wants = false
	e.do("GET", "/lanch", "").expect(t, 404, "route_not_found")
}
