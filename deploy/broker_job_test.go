package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// peerToken is the token that the broker has for its peer. It has the characters that a variable of
// NAME=VALUE, with commas between, leaves to a value.
const peerToken = `tok3n-of-"west"=`

// region stands for the brokers of another region: it lives, gives nothing, and notes with which
// token it was asked for a session.
type region struct {
	addr  string
	token atomic.Value
}

func startRegion(t *testing.T) *region {
	t.Helper()
	r := &region{}
	r.token.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v1/sessions" {
			r.token.Store(req.Header.Get("Authorization"))
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	r.addr = server.URL
	return r
}

// isAskedBy: a launch in a zone that is at the region goes there, with the token from the broker's
// Nomad variable.
func (r *region) isAskedBy(t *testing.T, api caller) {
	t.Helper()
	api.must("PUT", "/v1/zones/west", map[string]any{"name": "west", "peer": "west", "peer_zone": "west-1"})
	eventually(t, func(context.Context) error {
		status, reply := api.as(brokerToken, "POST", "/v1/sessions", map[string]any{"image": "app", "zone": "west", "user": map[string]any{"id": "u-2", "name": "bob"}})
		if token := r.token.Load(); token != "Bearer "+peerToken {
			return fmt.Errorf("the region was asked with %q; the launch: status %d, %s", token, status, reply)
		}
		return nil
	})
}
