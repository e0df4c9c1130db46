package webhook_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/webhook"
)

const secret = "whsec_Z3JlZW5yb29tLXdlYmhvb2stc2VjcmV0LWV4YW1wbGU="

// TestADeliveryIsBounded: a redirect is not followed, an endless answer is not read, a CA that
// is not named is not trusted, and no error names the URL, which may hold a password.
func TestADeliveryIsBounded(t *testing.T) {
	other := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		for _, h := range []string{webhook.HeaderID, webhook.HeaderTimestamp, webhook.HeaderSignature} {
			if r.Header.Get(h) == "" {
				t.Errorf("no %s", h)
			}
		}
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/other", func(http.ResponseWriter, *http.Request) { other++ })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	plain, sealed := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	t.Cleanup(plain.Close)
	t.Cleanup(sealed.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sealed.Certificate().Raw}))
	c := &webhook.Client{}
	t.Cleanup(c.Close)
	for name, tt := range map[string]struct {
		url, ca string
		want    string // of the error, "" for none
	}{
		"taken":                 {plain.URL + "/ok", "", ""},
		"taken by TLS":          {sealed.URL + "/ok", ca, ""},
		"an endless answer":     {plain.URL + "/endless", "", ""},
		"a CA that is unknown":  {sealed.URL + "/ok?key=hunter2", "", "certificate"},
		"a redirect":            {plain.URL + "/moved?key=hunter2", "", "redirects are not followed"},
		"refused":               {plain.URL + "/busy?key=hunter2", "", "answered 503"},
		"nobody listens":        {"http://127.0.0.1:1/?key=hunter2", "", "cannot be reached"},
		"a host that is no one": {"http://no.such.host.invalid/?key=hunter2", "", "cannot be reached"},
	} {
		w := staging.Webhook{Name: "billing", URL: tt.url, Secret: secret, CACert: tt.ca}
		err := c.Deliver(t.Context(), w, staging.Event{ID: "1-0", Type: staging.EventEnded, At: time.Unix(1, 0)})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: %v", name, err)
		}
	}
	if other > 0 {
		t.Error("a redirect was followed")
	}
}
