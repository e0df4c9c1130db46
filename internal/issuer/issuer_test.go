package issuer

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/issuer/issuertest"
)

func issuerOf(p *issuertest.Provider) *Issuer {
	return New(Settings{URL: p.URL(), Audience: "greenroom", Mapping: access.Mapping{
		User: "sub", Groups: "groups", Role: "roles", Roles: map[string]access.Role{"boss": access.Admin},
	}})
}

// refused wants a token refused, for good and without a part of it in the reason.
func refused(t *testing.T, i *Issuer, what, jwt string) {
	t.Helper()
	c, err := i.Identify(t.Context(), jwt)
	var no *access.RefusedError
	if !errors.As(err, &no) {
		t.Errorf("%s: %+v, %v", what, c, err)
		return
	}
	for _, part := range strings.Split(jwt, ".") {
		if len(part) > 3 && strings.Contains(no.Reason, part) {
			t.Errorf("%s: the reason has a part of the token: %s", what, no.Reason)
		}
	}
}

func accepted(t *testing.T, i *Issuer, what, jwt string) access.Caller {
	t.Helper()
	c, err := i.Identify(t.Context(), jwt)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return c
}

// TestOnlyTheIssuersTokensForUsAreTaken within their time.
func TestOnlyTheIssuersTokensForUsAreTaken(t *testing.T) {
	p := issuertest.New(t)
	first, stranger := issuertest.NewKey(t, "first"), issuertest.NewKey(t, "first")
	p.Publishes(first)
	i := issuerOf(p)

	c := accepted(t, i, "a right one", first.Signs(t, p.Claims(nil)))
	if c.Role != access.User || c.Subject != "u-1" || c.UserName != "Alice" || len(c.Groups) != 1 {
		t.Errorf("%+v", c)
	}
	if c := accepted(t, i, "one with a role", first.Signs(t, p.Claims(map[string]any{"roles": "boss"}))); c.Role != access.Admin {
		t.Errorf("%+v", c)
	}
	for what, change := range map[string]map[string]any{
		"another audience":    {"aud": "other"},
		"no audience":         {"aud": nil},
		"another issuer":      {"iss": "https://evil.example"},
		"expired":             {"exp": time.Now().Add(-time.Minute).Unix()},
		"no expiry":           {"exp": nil},
		"not yet":             {"nbf": time.Now().Add(time.Hour).Unix()},
		"no user":             {"sub": nil},
		"a user that is none": {"sub": strings.Repeat("x", 300)},
	} {
		refused(t, i, what, first.Signs(t, p.Claims(change)))
	}
	right := first.Signs(t, p.Claims(nil))
	parts := strings.Split(right, ".")
	refused(t, i, "signed by nobody", "eyJhbGciOiJub25lIn0."+parts[1]+".")
	refused(t, i, "nothing of a token", "a.b.c")
	refused(t, i, "another's claims", parts[0]+"."+strings.Split(first.Signs(t, p.Claims(map[string]any{"roles": "boss"})), ".")[1]+"."+parts[2])
	// The public key as a password: what a verifier that takes any algorithm falls for.
	der, err := json.Marshal(jose.JSONWebKey{Key: first.Private.Public()})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, i, "signed with the public key", issuertest.Sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: der}, p.Claims(nil)))
	refused(t, i, "signed by a stranger", stranger.Signs(t, p.Claims(nil)))
}

// TestKeysRotateAndAreKept: a new key is taken at once, an old one no longer; and
// while the issuer is away, those that were seen go on being taken, and of others
// it is said that they cannot be checked, not that they are wrong.
func TestKeysRotateAndAreKept(t *testing.T) {
	p := issuertest.New(t)
	first, second, third := issuertest.NewKey(t, "first"), issuertest.NewKey(t, "second"), issuertest.NewKey(t, "third")
	p.Publishes(first)
	i := issuerOf(p)
	// How often it may be asked is another test's.
	i.client.Transport.(*asked).limit.SetLimit(rate.Inf)
	old := first.Signs(t, p.Claims(nil))
	accepted(t, i, "the first key's", old)
	p.Publishes(second)
	accepted(t, i, "the second key's", second.Signs(t, p.Claims(nil)))
	refused(t, i, "the first key's, which is published no more", old)

	for what, broken := range map[string]func(http.ResponseWriter){
		"errors":  func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) },
		"garbage": func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
	} {
		p.Breaks(broken)
		accepted(t, i, "the second key's while it answers "+what, second.Signs(t, p.Claims(nil)))
		var away *access.UnavailableError
		if c, err := i.Identify(t.Context(), third.Signs(t, p.Claims(nil))); !errors.As(err, &away) {
			t.Errorf("an unknown key's while it answers %s: %+v, %v", what, c, err)
		}
	}
	p.Close()
	accepted(t, i, "the second key's while it is away", second.Signs(t, p.Claims(nil)))
}

// TestABrokerStartsWhileTheIssuerIsAway, and takes tokens once it is there.
func TestABrokerStartsWhileTheIssuerIsAway(t *testing.T) {
	p := issuertest.New(t)
	k := issuertest.NewKey(t, "k")
	p.Publishes(k)
	p.Breaks(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) })
	i := issuerOf(p)
	jwt := k.Signs(t, p.Claims(nil))
	var away *access.UnavailableError
	if c, err := i.Identify(t.Context(), jwt); !errors.As(err, &away) {
		t.Fatalf("%+v, %v", c, err)
	}
	p.Breaks(nil)
	accepted(t, i, "once it is there", jwt)
}

// TestWrongTokensDoNotWearTheIssuerOut: many of them are a few questions.
func TestWrongTokensDoNotWearTheIssuerOut(t *testing.T) {
	p := issuertest.New(t)
	k, stranger := issuertest.NewKey(t, "k"), issuertest.NewKey(t, "stranger")
	p.Publishes(k)
	i := issuerOf(p)
	right, wrong := k.Signs(t, p.Claims(nil)), stranger.Signs(t, p.Claims(nil))
	accepted(t, i, "a right one", right)
	began, before := time.Now(), p.Count()
	for range 500 {
		if c, err := i.Identify(t.Context(), wrong); err == nil {
			t.Fatalf("taken as %+v", c)
		}
		accepted(t, i, "a right one among wrong ones", right)
	}
	// The bound holds however long that took.
	if n, most := p.Count()-before, questionsBurst+int(time.Since(began)/questionsEvery)+1; n > most {
		t.Errorf("500 wrong tokens made %d questions, want at most %d", n, most)
	}
}
