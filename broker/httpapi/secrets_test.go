package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSecretsAreRotated: the answer says until when the old keys count. An overlap of 0s is one,
// and none at all is a mistake.
func TestSecretsAreRotated(t *testing.T) {
	e := newEdge(t, newFake())
	for overlap, until := range map[string]string{"24h": "2026-11-25T06:20:00Z", "0s": "2026-11-24T06:20:00Z"} {
		got := e.do("POST", "/v1/secrets/rotate", `{"overlap":"`+overlap+`"}`)
		want := map[string]any{"names": []any{"access", "login"}, "signs_from": "2026-11-24T06:20:00Z", "accepted_until": until}
		if diff := cmp.Diff(any(want), decoded(t, got.body)); got.status != 200 || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", overlap, got.status, diff)
		}
	}
	for _, overlap := range []string{"-1s", "2161h"} {
		e.do("POST", "/v1/secrets/rotate", `{"overlap":"`+overlap+`"}`).expect(t, 422, "invalid_field", "overlap")
	}
	e.do("POST", "/v1/secrets/rotate", `{}`).expect(t, 422, "invalid_field", "overlap")
	e.do("POST", "/v1/secrets/rotate", `{"overlap":24}`).expect(t, 400, "invalid_type", "overlap")
}
