package access

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestALogin: another broker with the same secret opens a login, a login expires, and one
// that was changed or sealed with another secret is refused.
func TestALogin(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	with := func(secret string) Guard {
		return Guard{On: true, Keys: func(context.Context) (staging.SigningKeys, error) {
			return staging.SigningKeys{{Key: []byte(secret)}}, nil
		}}
	}
	one, ctx := with("shared"), t.Context()
	sealed, err := one.Login(ctx, "grt_secret", now)
	if err != nil || strings.Contains(sealed, "grt") {
		t.Fatal(sealed, err)
	}
	if again, _ := one.Login(ctx, "grt_secret", now); again == sealed {
		t.Error("two logins are the same")
	}
	if token, err := with("shared").LoginToken(ctx, sealed, now.Add(LoginLife-time.Second)); token != "grt_secret" || err != nil {
		t.Errorf("another broker opens %q, %v", token, err)
	}
	changed := byte('A')
	if sealed[len(sealed)/2] == changed {
		changed = 'B'
	}
	for what, open := range map[string]func() (string, error){
		"an old one": func() (string, error) { return one.LoginToken(ctx, sealed, now.Add(LoginLife)) },
		"another's":  func() (string, error) { return with("other").LoginToken(ctx, sealed, now) },
		"a changed one": func() (string, error) {
			return one.LoginToken(ctx, sealed[:len(sealed)/2]+string(changed)+sealed[len(sealed)/2+1:], now)
		},
		"a shorter one":  func() (string, error) { return one.LoginToken(ctx, sealed[:10], now) },
		"none":           func() (string, error) { return one.LoginToken(ctx, "", now) },
		"no secret here": func() (string, error) { return Guard{}.LoginToken(ctx, sealed, now) },
	} {
		if token, err := open(); token != "" || !errors.Is(err, ErrLoginOver) {
			t.Errorf("%s opens %q, %v", what, token, err)
		}
	}
	if _, err := one.Login(ctx, strings.Repeat("x", maxLoginToken+1), now); !errors.Is(err, ErrTokenTooLong) {
		t.Error(err)
	}
	if sealed, err := one.Login(ctx, strings.Repeat("x", maxLoginToken), now); err != nil || len(sealed) > 4000 {
		t.Errorf("the longest token makes a cookie of %d bytes, %v", len(sealed), err)
	}
}

// TestALoginOutlivesTheRotationOfItsKey, for the overlap; and what a broker seals after it with
// the new key is opened by one that signs with the old key still.
func TestALoginOutlivesTheRotationOfItsKey(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	keys := staging.SigningKeys{{Key: []byte("old")}}
	g, ctx := Guard{On: true, Keys: func(context.Context) (staging.SigningKeys, error) { return keys, nil }}, t.Context()
	before, err := g.Login(ctx, "grt_before", now)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err = keys.Rotate([]byte("new"), now, time.Hour); err != nil {
		t.Fatal(err)
	}
	at := now.Add(time.Minute)
	after, err := g.Login(ctx, "grt_after", at)
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		sealed, token string
		at            time.Time
	}{
		"the old one in the overlap":    {before, "grt_before", at},
		"the new one in the overlap":    {after, "grt_after", at},
		"the new one by a late clock":   {after, "grt_after", now},
		"the old one after the overlap": {before, "", now.Add(time.Hour)},
		"the new one after the overlap": {after, "grt_after", now.Add(time.Hour)},
	} {
		if token, err := g.LoginToken(ctx, tt.sealed, tt.at); token != tt.token || (token == "") != errors.Is(err, ErrLoginOver) {
			t.Errorf("%s: opens %q, %v", what, token, err)
		}
	}
}
