package access

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// mapped is a provider that only maps claims.
type mapped struct {
	Provider
	id string
	Mapping
}

func (m mapped) ID() string                           { return m.id }
func (m mapped) Caller(claims Claims) (Caller, error) { return m.Mapping.Caller(claims) }

// TestALoginWithTheProviderIsSealed: what is sealed counts for its kind, its provider and its
// time, at every broker, by the mapping of now. A key's rotation ends it after the overlap.
func TestALoginWithTheProviderIsSealed(t *testing.T) {
	now, ctx := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC), t.Context()
	keys := staging.SigningKeys{{Key: []byte("old")}}
	with := func(id string, roles map[string]Role) Guard {
		return Guard{
			On: true, Keys: func(context.Context) (staging.SigningKeys, error) { return keys, nil },
			Provider: mapped{id: id, Mapping: Mapping{User: "sub", Role: "roles", Roles: roles}},
		}
	}
	g := with("one", map[string]Role{"ops": Admin})
	claims := Claims{"sub": "u-1", "roles": []any{"ops"}}
	login, err := g.ProviderLogin(ctx, claims, now)
	if err != nil {
		t.Fatal(err)
	}
	attempt, err := g.SealAttempt(ctx, NewAttempt("/zones"), now)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := g.IdentifyLogin(ctx, login, now.Add(LoginLife-time.Second)); err != nil || c.Role != Admin || c.Subject != "u-1" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := with("one", nil).IdentifyLogin(ctx, login, now); err != nil || c.Role != User {
		t.Errorf("by a mapping without the role: %+v, %v", c, err)
	}
	if a, err := g.OpenAttempt(ctx, attempt, now.Add(AttemptLife-time.Second)); err != nil || a.View != "/zones" || len(a.State) < 43 || a.State == a.Nonce || a.Nonce == a.Verifier {
		t.Errorf("%+v, %v", a, err)
	}
	for what, err := range map[string]error{
		"an old login":               second(g.IdentifyLogin(ctx, login, now.Add(LoginLife))),
		"an old attempt":             second(g.OpenAttempt(ctx, attempt, now.Add(AttemptLife))),
		"a login as an attempt":      second(g.OpenAttempt(ctx, login, now)),
		"an attempt as a login":      second(g.IdentifyLogin(ctx, attempt, now)),
		"a login as a token":         second(g.LoginToken(ctx, login, now)),
		"another provider's login":   second(with("two", nil).IdentifyLogin(ctx, login, now)),
		"another provider's try":     second(with("two", nil).OpenAttempt(ctx, attempt, now)),
		"no provider":                second(Guard{On: true, Keys: g.Keys}.IdentifyLogin(ctx, login, now)),
		"no cookie":                  second(g.OpenAttempt(ctx, "", now)),
		"a login that was shortened": second(g.IdentifyLogin(ctx, login[1:], now)),
	} {
		if !errors.Is(err, ErrLoginOver) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := g.ProviderLogin(ctx, Claims{"sub": strings.Repeat("x", maxSealed)}, now); !errors.Is(err, ErrLoginTooLong) {
		t.Error(err)
	}
	if keys, err = keys.Rotate([]byte("new"), now, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := g.IdentifyLogin(ctx, login, now.Add(time.Minute)); err != nil {
		t.Errorf("in the overlap of its key: %v", err)
	}
	if _, err := g.IdentifyLogin(ctx, login, now.Add(2*time.Hour)); !errors.Is(err, ErrLoginOver) {
		t.Errorf("after the overlap of its key: %v", err)
	}
	g.Keys = func(context.Context) (staging.SigningKeys, error) { return nil, errors.New("no leader") }
	if _, err := g.IdentifyLogin(ctx, login, now); FailureOf(err) != LoginUnavailable {
		t.Errorf("without the keys: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
