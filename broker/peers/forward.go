package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Records are the records of the sessions that peers gave.
type Records interface {
	// RemoteSession reads one; staging.ErrNoResource for none.
	RemoteSession(ctx context.Context, id string) (staging.RemoteSession, error)
}

// Forwarder passes on calls about sessions at peers. It implements httpapi.Peers.
type Forwarder struct {
	*Peers
	Records Records
}

// Find reads the record of a session at a peer; found is false for none.
func (f Forwarder) Find(ctx context.Context, id string) (s staging.RemoteSession, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	s, err = f.Records.RemoteSession(ctx, id)
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return s, false, nil
	case err != nil:
		return s, false, refusal.NoConsul(err)
	}
	return s, true, nil
}

// passedOn are the headers of a call, and of its answer, that are passed on.
var (
	sentHeaders     = []string{"Content-Type", "Idempotency-Key", "Accept"}
	answeredHeaders = []string{"Content-Type", "X-Greenroom-Index", "Retry-After"}
)

// Forward sends a call about a session to its peer, and returns the answer. The error is a
// *refusal.Error.
func (f Forwarder) Forward(ctx context.Context, s staging.RemoteSession, r *http.Request, body []byte) (httpapi.PeerAnswer, error) {
	at, ok := f.all[s.Peer]
	if !ok {
		return httpapi.PeerAnswer{}, &refusal.Error{Kind: refusal.PeerUnavailable, Detail: fmt.Sprintf("session %s is at peer %s, which is not in this broker's configuration any more", s.Session, s.Peer)}
	}
	answer, err := at.forward(ctx, r, body)
	if err != nil {
		return answer, &refusal.Error{Kind: refusal.PeerUnavailable, Cause: err, Detail: fmt.Sprintf(
			"session %s is at peer %s (%s), which does not answer; the session goes on there: repeat later, or call that broker", s.Session, s.Peer, at.Peer.Address)}
	}
	switch answer.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return answer, &refusal.Error{Kind: refusal.Forbidden, Detail: fmt.Sprintf(
			"session %s is at peer %s, which does not let this broker do that (status %d): call the broker at %s with a token of its own", s.Session, s.Peer, answer.Status, at.Peer.Address)}
	}
	answer.Body = inOurWords(answer.Body, s)
	return answer, nil
}

func (at *peer) forward(ctx context.Context, r *http.Request, body []byte) (httpapi.PeerAnswer, error) {
	var out httpapi.PeerAnswer
	if err := at.problem(); err != nil {
		return out, err
	}
	select {
	case at.running <- struct{}{}:
		defer func() { <-at.running }()
	default:
		return out, fmt.Errorf("%d calls of this broker are at it, as many as there may be at once", atOnce)
	}
	ctx, cancel := at.whileUp(ctx)
	defer cancel()
	// A read may wait for a change of the session.
	ctx, cancelBound := context.WithTimeout(ctx, launch.MaxWait+deadline.Peer)
	defer cancelBound()
	u := at.Peer.Address + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		u += "?" + r.URL.RawQuery
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, u, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	for _, name := range sentHeaders {
		if v := r.Header.Get(name); v != "" {
			request.Header.Set(name, v)
		}
	}
	if id := access.CallOf(ctx).RequestID; id != "" {
		request.Header.Set("X-Request-Id", id)
	}
	at.authorize(request)
	answer, err := at.client.Do(request)
	if err != nil {
		return out, withoutURL(err)
	}
	defer answer.Body.Close()
	if out.Body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err != nil {
		return out, fmt.Errorf("read the answer of the peer: %w", err)
	}
	out.Status, out.Header = answer.StatusCode, http.Header{}
	for _, name := range answeredHeaders {
		if v := answer.Header.Get(name); v != "" {
			out.Header.Set(name, v)
		}
	}
	return out, nil
}

// inOurWords gives the session in an answer the name that its zone has here, and says which peer
// it is at. What is no session stays as it is.
func inOurWords(body []byte, s staging.RemoteSession) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields["zone"] == nil || fields["state"] == nil {
		return body
	}
	for name, value := range map[string]string{"zone": s.Zone, "peer": s.Peer} {
		b, err := json.Marshal(value)
		if err != nil {
			return body
		}
		fields[name] = b
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return out
}

// Ended reports whether the peer says that a session has ended, or that it does not know it any more.
func (p *Peers) Ended(ctx context.Context, s staging.RemoteSession) (bool, error) {
	at, ok := p.all[s.Peer]
	if !ok {
		return false, fmt.Errorf("peer %s is not in the configuration", s.Peer)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Peer)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/sessions/"+url.PathEscape(s.Session), http.NoBody)
	if err != nil {
		return false, err
	}
	answer, err := at.forward(ctx, r, nil)
	if err != nil {
		return false, err
	}
	switch answer.Status {
	case http.StatusNotFound:
		var problem httpapi.Problem
		return json.Unmarshal(answer.Body, &problem) == nil && problem.Code == string(refusal.NotFound), nil
	case http.StatusOK:
		var found httpapi.Session
		err := json.Unmarshal(answer.Body, &found)
		return err == nil && found.State == staging.Ended, err
	}
	return false, fmt.Errorf("the peer answers with status %d", answer.Status)
}
