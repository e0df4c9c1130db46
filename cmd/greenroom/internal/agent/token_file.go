package agent

import (
	"net/http"
	"os"
	"strings"
	"sync"
)

// tokenFile sends requests to Consul with the token that a file has when they are sent. Nomad
// writes such a file for a task with an identity, and writes it again when the task gets
// another token; Consul's own client reads it once.
//
// The file is small and in memory, so it is read for each request: no change is missed, and
// none is noticed late.
type tokenFile struct {
	http.RoundTripper
	path string

	mu sync.Mutex
	// last is the last token that was read.
	last string
}

// withTokenFile returns a transport that sends the token in a file. first is the token that
// was there when the agent started.
func withTokenFile(transport http.RoundTripper, path, first string) http.RoundTripper {
	return &tokenFile{RoundTripper: transport, path: path, last: first}
}

// RoundTrip implements http.RoundTripper.
func (t *tokenFile) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(consulTokenHeader, t.token())
	return t.RoundTripper.RoundTrip(r)
}

// token returns the token in the file. While the file is being written it may be empty or
// away: then it is the last one.
func (t *tokenFile) token() string {
	b, err := os.ReadFile(t.path)
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := strings.TrimSpace(string(b)); err == nil && now != "" {
		t.last = now
	}
	return t.last
}
