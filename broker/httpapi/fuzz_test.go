package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

// FuzzLaunchBody: every body is answered with the launch that it requests or with a refusal
// of the contract, never with an internal error; and a body that passes reaches the broker
// as it was written, nothing lost and nothing added.
func FuzzLaunchBody(f *testing.F) {
	f.Add([]byte(launchBody))
	f.Add([]byte(`{"image":"demo","zone":"east","user":{"id":"u","name":"\u0000\ud83d\ude00"},"groups":["a","b"],"environment":{"":"x","K":"${HOME}"}}`))
	f.Add([]byte(`{"image":"demo","zone":"east","user":{"id":"u"},"environment":{"K":"1","K":"2"}}`))
	f.Add([]byte(`{"image":null,"Zone":1e99,"user":[{}]}`))
	f.Add([]byte("[[[[{\"a\":\"\xff\"}]]]]"))
	b := newFake()
	var whole *edge // to load the contract takes long
	f.Fuzz(func(t *testing.T, body []byte) {
		if whole == nil {
			whole = newEdge(t, b)
		}
		e := *whole
		e.t = t
		e.log.Reset()
		got := e.do("POST", "/v1/sessions", string(body))
		switch got.status {
		case http.StatusCreated:
			var sent, received any
			if err := json.Unmarshal(body, &sent); err != nil {
				t.Fatalf("a body that is no JSON was served: %v", err)
			}
			received = decoded(t, asJSON(t, b.last.Launch))
			if diff := cmp.Diff(withoutEmpty(sent), withoutEmpty(received)); diff != "" {
				t.Errorf("the broker got another launch (-sent +got):\n%s", diff)
			}
		case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		default:
			t.Errorf("status %d for %q: %s", got.status, body, got.body)
		}
	})
}

func asJSON(t *testing.T, l staging.Launch) []byte {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withoutEmpty leaves out empty values: "", [] and {} mean the same as absence.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if x = withoutEmpty(x); x != nil {
				out[k] = x
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		return v
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}
