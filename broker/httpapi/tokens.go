package httpapi

import (
	"context"

	"github.com/greenroom/greenroom/internal/access"
)

// ListTokens implements StrictServerInterface.
func (h *handlers) ListTokens(ctx context.Context, _ ListTokensRequestObject) (ListTokensResponseObject, error) {
	all, err := h.broker.Tokens.List(requestContext(ctx))
	if err != nil {
		return nil, err
	}
	return ListTokens200JSONResponse{Items: each(all, token)}, nil
}

// CreateToken implements StrictServerInterface.
func (h *handlers) CreateToken(ctx context.Context, r CreateTokenRequestObject) (CreateTokenResponseObject, error) {
	t, secret, err := h.broker.Tokens.Create(requestContext(ctx), access.TokenRequest{
		Name: r.Body.Name, Role: r.Body.Role, ExpiresIn: r.Body.ExpiresIn, Rate: r.Body.Rate,
	})
	if err != nil {
		return nil, err
	}
	return CreateToken201JSONResponse{Body: created(t, secret), Headers: CreateToken201ResponseHeaders{CacheControl: noStore}}, nil
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

// token returns what callers see of a token: not its hash.
func token(t access.Token) Token {
	return Token{Accessor: t.Accessor, Name: t.Name, Role: t.Role, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, Rate: t.Rate}
}

func created(t access.Token, secret string) CreatedToken {
	return CreatedToken{
		Accessor: t.Accessor, Name: t.Name, Role: t.Role, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, Rate: t.Rate, Secret: secret,
	}
}
