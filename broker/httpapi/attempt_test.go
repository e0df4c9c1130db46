package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatCannotBeRecordedIsNotDone: every operation that may change something is refused
// before anything is changed, and what only reads is answered.
func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	g, secret := loginGuard(access.Admin)
	for path, item := range newEdge(t, newFake()).contract.Paths() {
		for method, op := range item.Operations() {
			if path == "/v1/events" { // it does not end
				continue
			}
			f := newFake()
			f.sessions["gr-1"] = assignedSession()
			f.unwritable = errors.New("write an audit record to the log: no space left on device")
			e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
			target := strings.NewReplacer("{id}", "gr-1", "{name}", "east", "{accessor}", "tk-1").Replace(path)
			body := bodies[op.OperationID]
			if op.OperationID == "login" {
				body = `{"token":"` + secret + `"}`
			}
			got := e.do(method, target, body, header("Authorization", "Bearer "+secret))
			refused := got.status == 503 && got.problem(t).Code == "audit_unavailable"
			if changes := method != http.MethodGet && method != http.MethodHead && op.OperationID != "keepSessionAlive"; refused != changes {
				t.Errorf("%s: %d %s", op.OperationID, got.status, got.body)
			}
			if refused && (len(f.zones)+len(f.images)+len(f.tokens) > 0 || len(cookies(got)) > 0 || len(f.traced) > 0 || strings.Contains(string(got.body), "no space")) {
				t.Errorf("%s was done, or shows its cause: %s", op.OperationID, got.body)
			}
		}
	}
}

// TestLaunchesLoginsAndTokensInUseAreRecorded with their caller.
func TestLaunchesLoginsAndTokensInUseAreRecorded(t *testing.T) {
	g, secret := loginGuard(access.Admin)
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	bearer := header("Authorization", "Bearer "+secret)
	for range 2 {
		if got := e.do("POST", "/v1/sessions", severalBody, bearer); got.status != 201 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`, header("Origin", ownOrigin), func(r *http.Request) { r.Host = ownHost }); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if len(f.used) != 1 || f.used[0].Caller.Role != access.Admin || f.used[0].Operation != "createSession" {
		t.Errorf("the token in use was recorded as %+v", f.used)
	}
	who := f.used[0].Caller.Who()
	want := append(slices.Repeat([]string{who + " createSession session gr-1"}, 6), who+" login login of "+who)
	if !slices.Equal(f.traced, want) {
		t.Errorf("recorded are %q", f.traced)
	}
	if !slices.Equal(f.attempted, []string{"/v1/sessions", "/v1/sessions", "/v1/login"}) {
		t.Errorf("attempts are %q", f.attempted)
	}
}

// TestALaunchIsRecordedWithTheGroupsThatApplied, the default group among them: the
// record shows later why a user might have something.
func TestALaunchIsRecordedWithTheGroupsThatApplied(t *testing.T) {
	f := newFake()
	f.launch = func(context.Context, launch.Request) (launch.Result, error) {
		served := staging.Attempt{Step: staging.StepStaged, Zone: "east", Outcome: staging.OutcomeServed}
		return launch.Result{Session: assignedSession(), Token: "tok", Attempts: []staging.Attempt{served}, Groups: []string{"guests"}}, nil
	}
	e := newEdge(t, f, func(*httpapi.Options) {})
	if got := e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u-1"}}`); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	record, err := json.Marshal(f.tracedAfter)
	if err != nil || !strings.Contains(string(record), `"user_id":"u-1","groups":["guests"]`) {
		t.Errorf("%s, %v", record, err)
	}
}
