package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
)

const severalBody = `{"image":"demo","zone":"east","user":{"id":"u 1","name":"alice"},"count":3,"together":true}`

// TestSeveralAreAList, each with a token and an address of its own.
func TestSeveralAreAList(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	got := e.do("POST", "/v1/sessions", severalBody)
	if got.status != 201 || got.header.Get("Location") != "/v1/sessions?user=u+1" {
		t.Fatalf("%d, Location %q: %s", got.status, got.header.Get("Location"), got.body)
	}
	var list struct {
		Items []struct{ ID, Token, Connect_URL string }
	}
	if err := json.Unmarshal(got.body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 || list.Items[2].ID != "gr-1" || list.Items[2].Token == "" || list.Items[2].Connect_URL == "" {
		t.Errorf("%s", got.body)
	}
	if f.last.Count != 3 || !f.last.Together {
		t.Errorf("the broker got %+v", f.last)
	}
	var answer httpapi.LaunchAnswer
	if err := json.Unmarshal(got.body, &answer); err != nil || len(answer.Items) != 3 || answer.One != nil {
		t.Errorf("read again: %+v %v", answer, err)
	}
	// A count of 1 is the same as none.
	got = e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"count":1}`)
	if err := json.Unmarshal(got.body, &answer); err != nil || answer.One == nil || answer.One.ID != "gr-1" {
		t.Errorf("a count of one: %+v %v: %s", answer, err, got.body)
	}
}

func TestACountThatCannotBeIsRefused(t *testing.T) {
	e := newEdge(t, newFake())
	for _, wrong := range []string{`"count":0`, `"count":-1`, `"count":33`, `"together":true`, `"together":true,"count":1`} {
		e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},`+wrong+`}`).expect(t, 422, "invalid_field", strings.Trim(strings.SplitN(wrong, ":", 2)[0], `"`))
	}
	e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"count":"3"}`).expect(t, 400, "invalid_type", "count")
}

// TestSeveralSpendAsManyOfATokensRate: a launch of n sessions counts n times.
func TestSeveralSpendAsManyOfATokensRate(t *testing.T) {
	token, secret := access.NewToken(access.TokenRequest{Name: "slow", Role: access.Launcher, Rate: 5}, time.Now())
	tokens := access.NewTokens([]access.Token{token}, 1, nil)
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
	})
	served := 0
	for range 20 {
		if got := e.do("POST", "/v1/sessions", severalBody, header("Authorization", "Bearer "+secret)); got.status == 201 {
			served++
		} else {
			got.expect(t, 429, "rate_limited")
			break
		}
	}
	if served == 0 || served == 20 {
		t.Errorf("%d launches of three each were let through in a row", served)
	}
}
