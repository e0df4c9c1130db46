package issuer

import (
	"context"
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

// refused checks that a token is refused, with a reason that contains no part of it.
func refused(t *testing.T, i *Issuer, what, jwt string) {
	t.Helper()
	c, err := i.Identify(t.Context(), jwt)
	var refusal *access.RefusedError
	if !errors.As(err, &refusal) {
		t.Errorf("%s: %+v, %v", what, c, err)
		return
	}
	for _, part := range strings.Split(jwt, ".") {
		if len(part) > 3 && strings.Contains(refusal.Reason, part) {
			t.Errorf("%s: the reason has a part of the token: %s", what, refusal.Reason)
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

// TestOnlyTheIssuersTokensForUsAreTaken: other tokens and expired ones are refused.
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
		"another audience":   {"aud": "other"},
		"no audience":        {"aud": nil},
		"another issuer":     {"iss": "https://evil.example"},
		"expired":            {"exp": time.Now().Add(-time.Minute).Unix()},
		"no expiry":          {"exp": nil},
		"not yet":            {"nbf": time.Now().Add(time.Hour).Unix()},
		"no user":            {"sub": nil},
		"a user id too long": {"sub": strings.Repeat("x", 300)},
	} {
		refused(t, i, what, first.Signs(t, p.Claims(change)))
	}
	right := first.Signs(t, p.Claims(nil))
	parts := strings.Split(right, ".")
	refused(t, i, "not signed", "eyJhbGciOiJub25lIn0."+parts[1]+".")
	refused(t, i, "not a token", "a.b.c")
	refused(t, i, "another's claims", parts[0]+"."+strings.Split(first.Signs(t, p.Claims(map[string]any{"roles": "boss"})), ".")[1]+"."+parts[2])
	// A verifier that accepts any algorithm would take the public key for an HMAC secret.
	der, err := json.Marshal(jose.JSONWebKey{Key: first.Private.Public()})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, i, "signed with the public key", issuertest.Sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: der}, p.Claims(nil)))
	refused(t, i, "signed by a stranger", stranger.Signs(t, p.Claims(nil)))
}

// TestAJWTWithoutARequiredClaimIsRefused, also that of an administrator.
func TestAJWTWithoutARequiredClaimIsRefused(t *testing.T) {
	p := issuertest.New(t)
	k := issuertest.NewKey(t, "k")
	p.Publishes(k)
	i := New(Settings{URL: p.URL(), Audience: "greenroom", Mapping: access.Mapping{
		User: "sub", Role: "roles", Roles: map[string]access.Role{"boss": access.Admin}, Required: map[string]string{"hd": "example.org"},
	}})
	accepted(t, i, "one with it", k.Signs(t, p.Claims(map[string]any{"hd": "example.org"})))
	accepted(t, i, "a list with it", k.Signs(t, p.Claims(map[string]any{"hd": []string{"a", "example.org"}})))
	refused(t, i, "one without it", k.Signs(t, p.Claims(nil)))
	refused(t, i, "another value", k.Signs(t, p.Claims(map[string]any{"hd": "example.com"})))
	refused(t, i, "an administrator's without it", k.Signs(t, p.Claims(map[string]any{"roles": "boss"})))
}

// TestKeysRotateAndAreKept: a new key is accepted at once, and a removed one is refused.
// While the issuer is unreachable, tokens with cached keys are accepted, and tokens with
// other keys are an UnavailableError and not refused.
func TestKeysRotateAndAreKept(t *testing.T) {
	p := issuertest.New(t)
	first, second, third := issuertest.NewKey(t, "first"), issuertest.NewKey(t, "second"), issuertest.NewKey(t, "third")
	p.Publishes(first)
	i := issuerOf(p)
	// Another test covers the limit of requests.
	i.client.Transport.(*limitedTransport).limit.SetLimit(rate.Inf)
	old := first.Signs(t, p.Claims(nil))
	accepted(t, i, "the first key's", old)
	p.Publishes(second)
	// The key set hands a caller the keys a moment before it keeps them and forgets the request that
	// brought them: whoever comes in that moment is judged by the keys of before.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	soon := func(what, token string, is func(error) bool) {
		t.Helper()
		c, err := i.Identify(ctx, token)
		for ; !is(err) && ctx.Err() == nil; c, err = i.Identify(ctx, token) {
			<-time.After(time.Millisecond)
		}
		if !is(err) {
			t.Fatalf("%s: %+v, %v", what, c, err)
		}
	}
	soon("the second key's", second.Signs(t, p.Claims(nil)), func(err error) bool { return err == nil })
	soon("the first key's, which is published no more", old, func(err error) bool {
		var refusal *access.RefusedError
		return errors.As(err, &refusal)
	})

	for what, broken := range map[string]func(http.ResponseWriter){
		"errors":  func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) },
		"garbage": func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
	} {
		p.Breaks(broken)
		accepted(t, i, "the second key's while it answers "+what, second.Signs(t, p.Claims(nil)))
		soon("an unknown key's while it answers "+what, third.Signs(t, p.Claims(nil)), func(err error) bool {
			var unreachable *access.UnavailableError
			return errors.As(err, &unreachable)
		})
	}
	p.Close()
	accepted(t, i, "the second key's while it is away", second.Signs(t, p.Claims(nil)))
}

// TestABrokerStartsWhileTheIssuerIsAway, and accepts tokens once the issuer is reachable.
func TestABrokerStartsWhileTheIssuerIsAway(t *testing.T) {
	p := issuertest.New(t)
	k := issuertest.NewKey(t, "k")
	p.Publishes(k)
	p.Breaks(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) })
	i := issuerOf(p)
	jwt := k.Signs(t, p.Claims(nil))
	var unreachable *access.UnavailableError
	if c, err := i.Identify(t.Context(), jwt); !errors.As(err, &unreachable) {
		t.Fatalf("%+v, %v", c, err)
	}
	p.Breaks(nil)
	accepted(t, i, "once it is there", jwt)
}

// TestWrongTokensDoNotWearTheIssuerOut: many wrong tokens cause only a few requests.
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
			t.Fatalf("accepted as %+v", c)
		}
		accepted(t, i, "a right one among wrong ones", right)
	}
	// The limit depends on how long the loop took.
	if n, limit := p.Count()-before, requestBurst+int(time.Since(began)/requestInterval)+1; n > limit {
		t.Errorf("500 wrong tokens caused %d requests, want at most %d", n, limit)
	}
}
