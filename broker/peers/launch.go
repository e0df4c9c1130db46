package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// maxAnswer bounds the answer to a launch, which has up to 32 sessions.
const maxAnswer = 4 << 20

// Launch implements launch.Peers.
func (p *Peers) Launch(ctx context.Context, name string, r launch.PeerRequest) ([]launch.Result, error) {
	at, ok := p.all[name]
	if !ok {
		return nil, &launch.PeerRefusal{Detail: "it is not in this broker's configuration"}
	}
	results, err := at.launch(ctx, r)
	outcome := Unknown
	if err == nil {
		outcome = Served
	} else if refused, ok := errors.AsType[*launch.PeerRefusal](err); ok {
		if outcome = Refused; refused.Kind == "" {
			outcome = Unreached
		}
	}
	p.meter.Crossed(name, outcome)
	return results, err
}

func (at *peer) launch(ctx context.Context, l launch.PeerRequest) ([]launch.Result, error) {
	select {
	case at.running <- struct{}{}:
		defer func() { <-at.running }()
	default:
		return nil, &launch.PeerRefusal{Detail: fmt.Sprintf("%d calls of this broker are at it, as many as there may be at once", atOnce)}
	}
	ctx, cancel := at.whileUp(ctx)
	defer cancel()
	// Where nothing was sent, nothing was given.
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	request, err := at.launchRequest(ctx, l)
	if err != nil {
		return nil, &launch.PeerRefusal{Detail: "it cannot be asked", Cause: err}
	}
	answer, err := at.client.Do(request)
	if err != nil {
		if !sent.Load() {
			return nil, &launch.PeerRefusal{Detail: errAway.Error(), Cause: withoutURL(err)}
		}
		return nil, withoutURL(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of the peer: %w", err)
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted:
		return resultsIn(body, answer.StatusCode == http.StatusOK)
	}
	return nil, refusalIn(answer, body)
}

// launchRequest is the request of the API for a launch.
func (at *peer) launchRequest(ctx context.Context, l launch.PeerRequest) (*http.Request, error) {
	body, err := json.Marshal(l.Launch)
	if err != nil {
		return nil, err
	}
	query := url.Values{"only": {string(l.Only)}, "start_by": {l.StartBy.Format(time.RFC3339Nano)}, "wait": {l.Wait.Round(time.Millisecond).String()}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.Peer.Address+"/v1/sessions?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if l.IdempotencyKey != "" {
		r.Header.Set("Idempotency-Key", l.IdempotencyKey)
	}
	if id := access.CallOf(ctx).RequestID; id != "" {
		r.Header.Set("X-Request-Id", id)
	}
	at.authorize(r)
	return r, nil
}

// withoutURL drops the URL from a client's error: it says which call failed, and is long.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("ask the peer: %w", e.Err)
	}
	return err
}

// resultsIn reads the sessions in the answer to a launch.
func resultsIn(body []byte, existing bool) ([]launch.Result, error) {
	var answer httpapi.LaunchAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the answer of the peer: %w", err)
	}
	all := answer.Items
	if answer.One != nil {
		all = append(all, *answer.One)
	}
	var results []launch.Result
	for _, l := range all {
		if l.ID == "" {
			return nil, errors.New("the peer's answer names no session")
		}
		results = append(results, launch.Result{Session: sessionOf(l.Session), Token: l.Token, ConnectURL: l.ConnectURL, Existing: existing})
	}
	return results, nil
}

// sessionOf is a session by what the API says of it.
func sessionOf(s httpapi.Session) staging.Session {
	out := staging.Session{
		ID: s.ID, State: s.State, Origin: s.Origin, Zone: s.Zone, Image: s.Image, Staging: s.Staging, Revision: s.Revision,
		User: s.User, Terms: s.Terms, Address: s.Address, Ports: s.Ports, AllocID: s.AllocID, NodeID: s.NodeID,
		CreatedAt: s.CreatedAt, ReadyAt: s.ReadyAt, AssignedAt: s.AssignedAt, KeepaliveAt: s.KeepaliveAt, Reason: s.Reason,
		VisitedAt: s.VisitedAt, Unvisited: s.Unvisited, RestartedAt: s.RestartedAt, RestartFailure: s.RestartFailure,
	}
	return out
}

// refusalIn reads a refusal. An answer that is no problem document is not the broker's own, but of
// something before it, which does not know what became of the launch.
func refusalIn(answer *http.Response, body []byte) error {
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	var problem httpapi.Problem
	if media != "application/problem+json" || json.Unmarshal(body, &problem) != nil || problem.Code == "" || problem.Code == string(httpapi.CodeInternal) {
		return fmt.Errorf("the peer answers with status %d, and not with a greenroom's refusal", answer.StatusCode)
	}
	return &launch.PeerRefusal{Kind: refusal.Kind(problem.Code), Detail: problem.Detail, Attempts: problem.Attempts}
}
