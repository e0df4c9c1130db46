package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestErrorsBecomeProblems(t *testing.T) {
	attempts := []staging.Attempt{{Step: staging.StepOnDemand, Zone: "east", Outcome: staging.OutcomeFailed, Reason: "no room"}}
	secret := errors.New("dial tcp 10.1.2.3:8500: secret")
	tests := []struct {
		err        error
		status     int
		code       string
		retryAfter string
		fields     []string
	}{
		{&refusal.Error{Kind: refusal.NotFound}, 404, "not_found", "", nil},
		{&refusal.Error{Kind: refusal.InUse}, 409, "in_use", "", nil},
		{&refusal.Error{Kind: refusal.SessionBusy, RetryAfter: 1500 * time.Millisecond}, 409, "session_busy", "2", nil},
		{&refusal.Error{Kind: refusal.KeyReused}, 422, "idempotency_key_reused", "", nil},
		{&refusal.Error{Kind: refusal.KeyInFlight}, 409, "idempotency_key_in_flight", "2", nil},
		{&refusal.Error{Kind: refusal.Bootstrapped}, 409, "already_bootstrapped", "", nil},
		{&refusal.Error{Kind: refusal.ImageDisabled}, 409, "image_disabled", "", nil},
		{refusal.NoConsul(fmt.Errorf("put: %w", &staging.NewerError{Key: "greenroom/resources/zones/east", Version: 2})), 409, "stored_by_newer", "", nil},
		{&refusal.Error{Kind: refusal.ResourceUnreadable}, 503, "resource_unreadable", "", nil},
		{&refusal.Error{Kind: refusal.SessionLimit, Sessions: []string{"gr-1", "gr-2"}}, 409, "session_limit", "", nil},
		{&refusal.Error{Kind: refusal.NoLog}, 404, "no_log", "", nil},
		{&refusal.Error{Kind: refusal.NotAssigned}, 409, "session_not_assigned", "", nil},
		{&refusal.Error{Kind: refusal.Forbidden}, 403, "forbidden", "", nil},
		{&refusal.Error{Kind: refusal.NoCapacity, RetryAfter: time.Minute}, 503, "no_capacity", "60", nil},
		{&refusal.Error{Kind: refusal.Overloaded}, 503, "overloaded", "2", nil},
		{&refusal.Error{Kind: refusal.LaunchFailed}, 503, "launch_failed", "", nil},
		{&refusal.Error{Kind: refusal.ConsulUnavailable}, 503, "consul_unavailable", "2", nil},
		{&refusal.Error{Kind: refusal.NomadUnavailable}, 503, "nomad_unavailable", "2", nil},
		{&refusal.Error{Kind: refusal.RedisUnavailable}, 503, "redis_unavailable", "2", nil},
		{&refusal.Error{Kind: "new_kind"}, 500, "new_kind", "", nil},
		{fmt.Errorf("launch: %w", staging.Invalid("launch", "zone", "there is no zone %q", "x")), 422, "invalid_field", "", []string{"zone"}},
		{secret, 500, "internal", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			f := newFake()
			if e, ok := tt.err.(*refusal.Error); ok {
				e.Detail, e.Cause, e.Attempts = "what to do", secret, attempts
			}
			f.fail = tt.err
			e := newEdge(t, f)
			got := e.do("POST", "/v1/sessions", launchBody, header("X-Request-Id", "req-1"))
			p := got.expect(t, tt.status, tt.code, tt.fields...)
			if got.header.Get("Retry-After") != tt.retryAfter {
				t.Errorf("Retry-After %q, want %q", got.header.Get("Retry-After"), tt.retryAfter)
			}
			if _, ok := tt.err.(*refusal.Error); ok && (p.Detail != "what to do" || !cmp.Equal(p.Attempts, attempts)) {
				t.Errorf("detail %q, attempts %v", p.Detail, p.Attempts)
			}
			if tt.code == "session_limit" && !cmp.Equal(p.Sessions, []string{"gr-1", "gr-2"}) {
				t.Errorf("sessions %v", p.Sessions)
			}
			if strings.Contains(string(got.body), "secret") {
				t.Errorf("the cause reached the caller: %s", got.body)
			}
			if p.RequestID != "req-1" || !strings.Contains(e.log.String(), `"request_id":"req-1"`) {
				t.Errorf("request id %q; log: %s", p.RequestID, e.log)
			}
			if tt.status >= 500 && !strings.Contains(e.log.String(), "secret") {
				t.Errorf("the cause is not in the log: %s", e.log)
			}
		})
	}
}

func TestPanicIsAnInternalProblem(t *testing.T) {
	f := newFake()
	f.launch = func(context.Context, launch.Request) (launch.Result, error) { panic("secret state") }
	e := newEdge(t, f)
	got := e.do("POST", "/v1/sessions", launchBody)
	got.expect(t, 500, "internal")
	if strings.Contains(string(got.body), "secret") {
		t.Errorf("the panic reached the caller: %s", got.body)
	}
	if log := e.log.String(); !strings.Contains(log, "secret state") || !strings.Contains(log, "problem_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", log)
	}
}
