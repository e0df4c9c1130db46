package httpapi_test

import (
	"strings"
	"testing"
)

// TestExtendASession: by how much or until when, and within its max_extension.
func TestExtendASession(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	const path = "/v1/sessions/gr-1/extend"
	e.do("POST", path, `{"by":"30m"}`).expect(t, 404, "not_found")
	f.sessions["gr-1"] = assignedSession()
	e.do("POST", path, `{"by":"30m"}`).expect(t, 409, "extension_limit")
	for body, field := range map[string]string{`{}`: "by", `{"by":"30m","until":"2026-11-24T08:00:00Z"}`: "by", `{"by":"1ms"}`: "by"} {
		e.do("POST", path, body).expect(t, 422, "invalid_field", field)
	}
	e.do("POST", path, `{"by":"soon"}`).expect(t, 422, "invalid_field", "by")
	e.do("POST", path, `{"for":"30m"}`).expect(t, 400, "unknown_field", "for")
	s := assignedSession()
	s.Terms.MaxExtension = s.Terms.TimeLimit
	f.sessions["gr-1"] = s
	for _, body := range []string{`{"by":"30m"}`, `{"until":"2026-11-24T07:51:00Z"}`} {
		got := e.do("POST", path, body)
		if got.status != 200 || !strings.Contains(string(got.body), `"ends_at":"2026-11-24T07:51:00Z","extendable_until":"2026-11-24T08:21:00Z"`) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}
