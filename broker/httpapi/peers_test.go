package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// withPeer is a broker with a peer, which has the session gr-far of acme-amy.
type withPeer struct {
	*fake
	calls []string
	away  bool
}

func (p *withPeer) broker() httpapi.Broker {
	b := p.fake.broker()
	b.Peers = p
	return b
}

func (p *withPeer) Address(peer string) string { return "https://" + peer + ".example.org" }

func (p *withPeer) Find(_ context.Context, id string) (staging.RemoteSession, bool, error) {
	return staging.RemoteSession{Session: id, Peer: "wp", Zone: "east", UserID: "acme-amy"}, id == "gr-far", nil
}

func (p *withPeer) Forward(_ context.Context, s staging.RemoteSession, r *http.Request, body []byte) (httpapi.PeerAnswer, error) {
	p.calls = append(p.calls, r.Method+" "+r.URL.String()+" "+string(body))
	if p.away {
		return httpapi.PeerAnswer{}, &refusal.Error{Kind: refusal.PeerUnavailable, Detail: "wp does not answer"}
	}
	if r.Method == http.MethodDelete {
		return httpapi.PeerAnswer{Status: http.StatusNoContent}, nil
	}
	return httpapi.PeerAnswer{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "X-Greenroom-Index": {"7"}},
		Body: []byte(`{"id":"` + s.Session + `","state":"assigned","origin":"staged","zone":"east","peer":"wp","image":"demo","created_at":"2026-11-24T06:20:00Z"}`),
	}, nil
}

// TestCallsAboutASessionAtAPeerArePassedOn with what was sent, for those who may see it alone; a
// session of this region is never looked for at a peer.
func TestCallsAboutASessionAtAPeerArePassedOn(t *testing.T) {
	p := &withPeer{fake: newFake()}
	p.sessions["gr-1"] = assignedSession()
	e := newEdge(t, p)
	if got := e.do("GET", "/v1/sessions/gr-1", ""); got.status != 200 || len(p.calls) > 0 {
		t.Errorf("a session of this region: %d, passed on %q", got.status, p.calls)
	}
	e.do("GET", "/v1/sessions/gr-2", "").expect(t, 404, "not_found")
	got := e.do("GET", "/v1/sessions/gr-far?index=3&wait=1s", "")
	if got.status != 200 || !strings.Contains(string(got.body), `"peer":"wp"`) || got.header.Get("X-Greenroom-Index") != "7" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	e.do("POST", "/v1/sessions/gr-far/extend", `{"by":"30m"}`)
	if got := e.do("DELETE", "/v1/sessions/gr-far", ""); got.status != 204 {
		t.Errorf("the end: %d %s", got.status, got.body)
	}
	want := []string{"GET /v1/sessions/gr-far?index=3&wait=1s ", `POST /v1/sessions/gr-far/extend {"by":"30m"}`, "DELETE /v1/sessions/gr-far "}
	if strings.Join(p.calls, "\n") != strings.Join(want, "\n") {
		t.Errorf("passed on: %q, want %q", p.calls, want)
	}
	p.away = true
	e.do("DELETE", "/v1/sessions/gr-far", "").expect(t, 503, "peer_unavailable")

	for scope, status := range map[string]int{"acme-": 200, "umbrella-": 404} {
		p.away, p.calls = false, nil
		g, secret := scopedGuard(access.Launcher, access.Scope{UserPrefix: scope})
		e := newEdge(t, p, func(o *httpapi.Options) { o.Guard = g })
		if got := e.do("GET", "/v1/sessions/gr-far", "", header("Authorization", "Bearer "+secret)); got.status != status || (status == 404) != (len(p.calls) == 0) {
			t.Errorf("a token for users %s: %d %s, passed on %q", scope, got.status, got.body, p.calls)
		}
	}
}

// TestALaunchSaysWhichStepMayServeIt, and by when, and the answer says whose session it is.
func TestALaunchSaysWhichStepMayServeIt(t *testing.T) {
	p := &withPeer{fake: newFake()}
	e := newEdge(t, p)
	const body = `{"image":"demo","zone":"east","user":{"id":"u"}}`
	e.do("POST", "/v1/sessions?only=staged&start_by=2026-11-24T06:20:00.5Z", body)
	if p.last.Only != staging.StepStaged || p.last.StartBy.UnixMilli() != 1795501200500 {
		t.Errorf("launched %+v", p.last)
	}
	e.do("POST", "/v1/sessions?start_by=soon", body).expect(t, 400, "invalid_parameter", "start_by")
}
