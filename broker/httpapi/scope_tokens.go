package httpapi

import (
	"context"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// scopedTokens are the tokens that reach no more than the caller does. An administrator makes none
// that reaches more, or lasts longer, than its own.
type scopedTokens struct{ Tokens }

func (t scopedTokens) List(ctx context.Context) ([]admin.TokenInfo, error) {
	all, err := t.Tokens.List(ctx)
	scope := scopeOf(ctx)
	return only(all, func(i admin.TokenInfo) bool { return i.Scope.Within(scope) }), err
}

func (t scopedTokens) Create(ctx context.Context, r access.TokenRequest) (access.Token, string, error) {
	who := callerOf(ctx)
	if !r.Scope.Within(who.Scope) {
		return access.Token{}, "", outOfScope(who.Scope, "scope", "must be within that of the token that makes it")
	}
	if end := who.ExpiresAt; !end.IsZero() {
		left := staging.Duration(time.Until(end).Truncate(time.Second))
		if r.ExpiresIn > left {
			return access.Token{}, "", staging.Invalid("token", "expires_in", "must be at most %s, the rest of the token that makes it, is %s", left, r.ExpiresIn)
		}
		if r.ExpiresIn == 0 {
			r.ExpiresIn = max(left, staging.Duration(time.Second))
		}
	}
	return t.Tokens.Create(ctx, r)
}

func (t scopedTokens) Revoke(ctx context.Context, accessor string) error {
	if err := t.check(ctx, accessor); err != nil {
		return err
	}
	return t.Tokens.Revoke(ctx, accessor)
}

func (t scopedTokens) Rotate(ctx context.Context, accessor string, r access.Rotation) (access.Token, string, error) {
	if err := t.check(ctx, accessor); err != nil {
		return access.Token{}, "", err
	}
	r.NotAfter = callerOf(ctx).ExpiresAt
	return t.Tokens.Rotate(ctx, accessor, r)
}

// check refuses a token that reaches more than the caller, as one that does not exist.
func (t scopedTokens) check(ctx context.Context, accessor string) error {
	if scopeOf(ctx).IsZero() {
		return nil
	}
	mine, err := t.List(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(mine, func(i admin.TokenInfo) bool { return i.Accessor == accessor }) {
		refused := problemOf(admin.NoToken(accessor, nil))
		refused.denied = true
		return refused
	}
	return nil
}
