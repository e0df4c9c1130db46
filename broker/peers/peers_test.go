package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// counted counts launches by their outcome.
type counted map[Outcome]int

func (c counted) Crossed(_ string, o Outcome) { c[o]++ }

// newPeers returns peers with one, west, at an address.
func newPeers(address string, m counted) *Peers {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return New([]Peer{{Name: "west", Address: address, Token: "secret-token"}}, m, logrus.NewEntry(log))
}

func request() launch.PeerRequest {
	return launch.PeerRequest{
		Launch: staging.Launch{Image: "demo", Zone: "west-1", User: staging.User{ID: "u"}}, IdempotencyKey: "k", Only: staging.StepStaged, StartBy: time.Now().Add(time.Minute),
	}
}

// TestOnlyAGreenroomsRefusalSaysThatNothingWasGiven: an answer that is lost, or that comes from
// something before the broker, leaves it open.
func TestOnlyAGreenroomsRefusalSaysThatNothingWasGiven(t *testing.T) {
	problem := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"code":%q,"detail":"because","attempts":[{"step":"staged","zone":"west-1","outcome":"empty","reason":"none"}]}`, code)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another address was asked with %v", r.Header)
		w.WriteHeader(http.StatusCreated)
	}))
	defer elsewhere.Close()
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    Outcome
		kind    refusal.Kind
	}{
		{"a session", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret-token" || r.Header.Get("Idempotency-Key") != "k" || r.URL.Query().Get("only") != "staged" || r.URL.Query().Get("start_by") == "" {
				t.Errorf("asked with %v %v", r.URL, r.Header)
			}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":"w1","state":"assigned","origin":"staged","zone":"west-1","image":"demo","token":"t","connect_url":"https://x/","created_at":"2026-11-24T06:20:00Z"}`)
		}, Served, ""},
		{"its refusal", problem(503, "no_capacity"), Refused, refusal.NoCapacity},
		{"its defect", problem(500, "internal"), Unknown, ""},
		{"a proxy's refusal", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, Unknown, ""},
		{"a proxy's refusal in JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"code":"no_capacity","detail":"no upstream"}`)
		}, Unknown, ""},
		{"a broken connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unknown, ""},
		{"another answer", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, Unknown, ""},
		{"a way elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, Unknown, ""},
	} {
		s := httptest.NewUnstartedServer(c.handler)
		s.Config.ErrorLog = nil
		s.Start()
		m := counted{}
		got, err := newPeers(s.URL, m).Launch(t.Context(), "west", request())
		s.Close()
		refused, _ := errors.AsType[*launch.PeerRefusal](err)
		if m[c.want] != 1 || (c.want == Refused) != (refused != nil) || refused != nil && (refused.Kind != c.kind || len(refused.Attempts) != 1) {
			t.Errorf("%s: %v, %v, counted %v, want %s", c.name, got, err, m, c.want)
		}
		if c.want == Served && (len(got) != 1 || got[0].Session.ID != "w1" || got[0].Token != "t" || got[0].ConnectURL != "https://x/" || got[0].Existing) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: the token is in %v", c.name, err)
		}
	}
	// Nobody listens any more: nothing was sent.
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	m := counted{}
	_, err := newPeers(s.URL, m).Launch(t.Context(), "west", request())
	if refused, ok := errors.AsType[*launch.PeerRefusal](err); !ok || refused.Kind != "" || m[Unreached] != 1 {
		t.Errorf("nobody listens: %v, counted %v", err, m)
	}
}

// TestAPeerThatHangsIsFoundOut: the launch that is at it ends then, and no other is sent until it
// answers again.
func TestAPeerThatHangsIsFoundOut(t *testing.T) {
	var hangs atomic.Bool
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			arrived <- struct{}{}
		}
		for hangs.Load() {
			select {
			case <-release:
				return
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer s.Close()
	defer close(release)
	m := counted{}
	p := newPeers(s.URL, m)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.Run(ctx) }()
	defer func() { stop(); <-ended }()
	hangs.Store(true)
	_, err := p.Launch(t.Context(), "west", request())
	<-arrived
	if _, refused := errors.AsType[*launch.PeerRefusal](err); err == nil || refused || m[Unknown] != 1 {
		t.Errorf("a launch that was at it: %v, counted %v", err, m)
	}
	if p.Reachable("west") == nil || p.States()[0].Problem == "" {
		t.Errorf("it counts as reachable: %+v", p.States())
	}
	hangs.Store(false)
	for p.Reachable("west") != nil {
		select {
		case <-t.Context().Done():
			t.Fatal("it does not count as reachable again")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
