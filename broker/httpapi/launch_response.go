package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
)

// replyTo is the answer to a launch that was served.
func (h *handlers) replyTo(ctx context.Context, r launch.Request, results []launch.Result) CreateSessionResponseObject {
	for i := range results {
		results[i].ConnectURL = h.connectTo(ctx, results[i])
	}
	if r.Several() {
		return launchedReply{LaunchAnswer{Items: each(results, h.launched)}, "/v1/sessions?user=" + url.QueryEscape(r.User.ID)}
	}
	body := h.launched(results[0])
	location := "/v1/sessions/" + body.ID
	if results[0].Existing {
		return CreateSession200JSONResponse{Body: body, Headers: CreateSession200ResponseHeaders{Location: location}}
	}
	if body.State == staging.Pending || body.State == staging.Starting {
		return CreateSession202JSONResponse{
			Body:    body,
			Headers: CreateSession202ResponseHeaders{Location: location, RetryAfter: followAfter},
		}
	}
	return launchedReply{LaunchAnswer{One: &body}, location}
}

// Launched is a session with the steps and timings of its launch.
type Launched struct {
	Session
	// Token opens the session to its user; ConnectURL is where to send the user.
	Token      string `json:"token"`
	ConnectURL string `json:"connect_url,omitempty"`
	// PeerAddress is the address of the broker of the peer that has the session; "" for a
	// session of this region.
	PeerAddress string `json:"peer_address,omitempty"`
	// Attempts are every step that was tried, in order.
	Attempts []Attempt `json:"attempts"`
	// TimingsMs are how long the parts of the launch took, in milliseconds.
	TimingsMs Timings `json:"timings_ms"`
}

func (h *handlers) launched(r launch.Result) Launched {
	out := Launched{
		Session: session(r.Session), Token: r.Token, ConnectURL: r.ConnectURL,
		Attempts: each(r.Attempts, itself[Attempt]),
		TimingsMs: Timings{
			Claim: milliseconds(r.Timings.Claim), Fence: milliseconds(r.Timings.Fence),
			Hook: milliseconds(r.Timings.Hook), Total: milliseconds(r.Timings.Total),
		},
	}
	if out.Peer = r.Peer; r.Peer != "" && h.broker.Peers != nil {
		out.PeerAddress = h.broker.Peers.Address(r.Peer)
	}
	return out
}

// milliseconds keeps microseconds as a fraction: a claim takes less than one millisecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// LaunchAnswer is the body of the answer to a launch that was served: one session, or the
// list of several.
type LaunchAnswer struct {
	// One is nil where the launch was for several.
	One   *Launched
	Items []Launched
}

type launchedList struct {
	Items []Launched `json:"items"`
}

func (a LaunchAnswer) content() any {
	if a.One != nil {
		return a.One
	}
	return launchedList{Items: a.Items}
}

// MarshalJSON implements json.Marshaler.
func (a LaunchAnswer) MarshalJSON() ([]byte, error) { return json.Marshal(a.content()) }

// launchedReply is the answer to a launch that was served. It differs from the generated
// one in two ways: it is sent before the launch is counted and logged, and its JSON is
// encoded once instead of twice.
type launchedReply struct {
	LaunchAnswer
	location string
}

// VisitCreateSessionResponse implements CreateSessionResponseObject.
func (r launchedReply) VisitCreateSessionResponse(w http.ResponseWriter) error {
	body, err := json.Marshal(r.content())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaJSON)
	// Without a length, the flush would send the body in chunks.
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Location", r.location)
	w.WriteHeader(http.StatusCreated)
	if _, err := w.Write(body); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *LaunchAnswer) UnmarshalJSON(b []byte) error {
	var list launchedList
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if list.Items != nil {
		*a = LaunchAnswer{Items: list.Items}
		return nil
	}
	a.Items, a.One = nil, new(Launched)
	return json.Unmarshal(b, a.One)
}
