package httpapi_test

import "testing"

// TestWhatIsEmptyOrUnknownIsNoFilter: it is refused with its name; a portal that lost its
// user's id must not be shown everybody's sessions.
func TestWhatIsEmptyOrUnknownIsNoFilter(t *testing.T) {
	e := newEdge(t, newFake())
	for target, field := range map[string]string{
		"/v1/sessions?user=": "user", "/v1/sessions?zone=": "zone", "/v1/events?type=": "type", "/v1/events?user=": "user", "/v1/events?session=": "session", "/v1/events?type=assigned,bogus": "type",
	} {
		got := e.do("GET", target, "")
		if p := got.problem(t); got.status != 400 || len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
}
