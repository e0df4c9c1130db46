package httpapi_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// leaving is a broker whose callers hang up while a server is called: the call fails as the
// adapters' calls do.
type leaving struct {
	*fake
	fakeSessions
	hangUp context.CancelFunc
	wrap   func(error) *refusal.Error
}

func (l leaving) broker() httpapi.Broker {
	b := l.fake.broker()
	b.Sessions = l
	return b
}

func (l leaving) fails(ctx context.Context) error {
	l.hangUp()
	return l.wrap(fmt.Errorf("read it: %w", ctx.Err()))
}

func (l leaving) List(ctx context.Context, _ staging.SessionFilter, _ staging.Position, _ int) (staging.SessionPage, error) {
	return staging.SessionPage{}, l.fails(ctx)
}

func (l leaving) Authorize(ctx context.Context, _ sessions.Access) (staging.Session, error) {
	return staging.Session{}, l.fails(ctx)
}

// Identify implements access.Issuer: its call is cancelled with the request.
func (l leaving) Identify(ctx context.Context, _ string) (access.Caller, error) {
	l.hangUp()
	return access.Caller{}, &access.UnavailableError{What: "the issuer", Cause: ctx.Err()}
}

// TestAClientThatHangsUpIsNoOutage: neither an answer of 503 nor a warning about the server
// whose call ended with its request; an outage of it is both.
func TestAClientThatHangsUpIsNoOutage(t *testing.T) {
	for name, wrap := range map[string]func(error) *refusal.Error{"redis": refusal.NoRedis, "consul": refusal.NoConsul, "nomad": refusal.NoNomad} {
		for _, path := range []string{"/v1/sessions", "/v1/sessions/gr-1/authorize"} {
			ctx, hangUp := context.WithCancel(t.Context())
			metrics := prometheus.NewRegistry()
			f := newFake()
			e := newEdge(t, leaving{fake: f, fakeSessions: fakeSessions{f}, hangUp: hangUp, wrap: wrap}, func(o *httpapi.Options) { o.Registry = metrics })
			w := httptest.NewRecorder()
			e.handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil).WithContext(ctx))
			if log := e.log.String(); w.Body.Len() != 0 || strings.Contains(log, "unavailable") || strings.Contains(log, "canceled") || strings.Contains(log, `"level":"warning"`) ||
				!strings.Contains(log, `"status":499`) {
				t.Errorf("%s, GET %s: %d %s\n%s", name, path, w.Code, w.Body, log)
			}
			all, err := metrics.Gather()
			if text := fmt.Sprint(all); err != nil || strings.Contains(text, `value:"503"`) || !strings.Contains(text, `value:"499"`) {
				t.Errorf("%s, GET %s: %s %v", name, path, text, err)
			}
		}
	}
	// The client is still there: an outage.
	f := newFake()
	f.fail = refusal.NoRedis(context.Canceled)
	e := newEdge(t, f)
	e.do("GET", "/v1/staging", "").expect(t, 503, "redis_unavailable")
}

// TestAClientThatHangsUpAtItsTokenIsNoOutage of the issuer or of Consul.
func TestAClientThatHangsUpAtItsTokenIsNoOutage(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	l := leaving{hangUp: hangUp}
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = access.Guard{On: true, Issuer: l} })
	r := httptest.NewRequest("GET", "/v1/sessions", nil).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer a.b.c")
	e.handler.ServeHTTP(httptest.NewRecorder(), r)
	if log := e.log.String(); !strings.Contains(log, `"status":499`) || strings.Contains(log, "unavailable") {
		t.Error(log)
	}
}
