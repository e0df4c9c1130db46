package httpapi

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// ListTokens implements StrictServerInterface.
func (h *handlers) ListTokens(ctx context.Context, _ ListTokensRequestObject) (ListTokensResponseObject, error) {
	all, err := h.broker.Tokens.List(requestContext(ctx))
	if err != nil {
		return nil, err
	}
	return ListTokens200JSONResponse{Items: each(all, func(i admin.TokenInfo) Token {
		shown := token(i.Token)
		shown.LastUsed = i.LastUsed
		return shown
	})}, nil
}

// CreateToken implements StrictServerInterface.
func (h *handlers) CreateToken(ctx context.Context, r CreateTokenRequestObject) (CreateTokenResponseObject, error) {
	t, secret, err := h.broker.Tokens.Create(requestContext(ctx), access.TokenRequest{
		Name: r.Body.Name, Role: r.Body.Role, ExpiresIn: r.Body.ExpiresIn, Rate: r.Body.Rate, Scope: r.Body.Scope,
	})
	if err != nil {
		return nil, err
	}
	return CreateToken201JSONResponse{Body: created(t, secret), Headers: CreateToken201ResponseHeaders{CacheControl: noStore}}, nil
}

// RotateToken implements StrictServerInterface.
func (h *handlers) RotateToken(ctx context.Context, r RotateTokenRequestObject) (RotateTokenResponseObject, error) {
	rotation := access.Rotation{Overlap: access.DefaultOverlap}
	// Absent is the default, and 0s is none.
	if r.Body.Overlap != "" {
		overlap, err := staging.ParseDuration(r.Body.Overlap)
		if err != nil {
			return nil, staging.Invalid("rotation", "overlap", "%v", err)
		}
		rotation.Overlap = overlap.Std()
	}
	// A client that hangs up does not cancel it: the old secret's end has been set.
	t, secret, err := h.broker.Tokens.Rotate(context.WithoutCancel(requestContext(ctx)), r.Accessor, rotation)
	if err != nil {
		return nil, err
	}
	return RotateToken200JSONResponse{Body: created(t, secret), Headers: RotateToken200ResponseHeaders{CacheControl: noStore}}, nil
}

// RevokeToken implements StrictServerInterface.
func (h *handlers) RevokeToken(ctx context.Context, r RevokeTokenRequestObject) (RevokeTokenResponseObject, error) {
	if err := h.broker.Tokens.Revoke(requestContext(ctx), r.Accessor); err != nil {
		return nil, err
	}
	return RevokeToken204Response{}, nil
}

// Bootstrap implements StrictServerInterface.
func (h *handlers) Bootstrap(ctx context.Context, _ BootstrapRequestObject) (BootstrapResponseObject, error) {
	// A client that hangs up does not cancel it: the secret is returned only once.
	t, secret, err := h.broker.Tokens.Bootstrap(context.WithoutCancel(requestContext(ctx)))
	if err != nil {
		return nil, err
	}
	return Bootstrap201JSONResponse{Body: created(t, secret), Headers: Bootstrap201ResponseHeaders{CacheControl: noStore}}, nil
}

const noStore = "no-store"

// token returns what callers see of a token: not the hashes of its secrets.
func token(t access.Token) Token {
	return Token{
		Accessor: t.Accessor, Name: t.Name, Role: t.Role, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, Rate: t.Rate,
		Scope: t.Scope, RotatedAt: t.RotatedAt, OverlapUntil: t.OverlapUntil(time.Now()),
	}
}

func created(t access.Token, secret string) CreatedToken {
	shown := token(t)
	return CreatedToken{
		Accessor: shown.Accessor, Name: shown.Name, Role: shown.Role, CreatedAt: shown.CreatedAt, ExpiresAt: shown.ExpiresAt, Rate: shown.Rate,
		Scope: shown.Scope, RotatedAt: shown.RotatedAt, OverlapUntil: shown.OverlapUntil, Secret: secret,
	}
}
