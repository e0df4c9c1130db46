package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TokenStore keeps the tokens in Consul.
type TokenStore interface {
	// RefreshTokens reads all tokens.
	RefreshTokens(ctx context.Context) (*access.Tokens, error)
	CreateToken(ctx context.Context, t access.Token) error
	// RevokeToken returns the token that it deleted; staging.ErrNoResource for none.
	RevokeToken(ctx context.Context, accessor string) (access.Token, error)
	// Bootstrap stores the first administrator's token; made is false when that was
	// done before. BootstrapKey is the key in Consul that records it.
	Bootstrap(ctx context.Context, t access.Token) (made bool, err error)
	BootstrapKey() string
}

// Tokens administers the API's tokens. It may be used concurrently.
type Tokens struct {
	store   TokenStore
	auditor Auditor
}

// List returns the tokens, oldest first, also those that have expired. Their secrets are
// not stored.
func (t *Tokens) List(ctx context.Context) ([]access.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	tokens, err := t.store.RefreshTokens(ctx)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	return tokens.All(), nil
}

// Create makes a token and returns its secret, which nothing returns again. Other brokers
// accept the token a moment later.
func (t *Tokens) Create(ctx context.Context, r access.TokenRequest) (made access.Token, secret string, err error) {
	if err := r.Validate(); err != nil {
		return made, "", err
	}
	made, secret = access.NewToken(r, time.Now())
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	err = t.store.CreateToken(write, made)
	t.changed(ctx, made.Accessor, nil, withoutHash(made), err)
	if err != nil {
		return made, "", refusal.NoConsul(err)
	}
	return made, secret, nil
}

// Revoke ends a token. Other brokers accept it for a moment more; one that Consul does not
// answer accepts it until Consul does.
func (t *Tokens) Revoke(ctx context.Context, accessor string) error {
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	revoked, err := t.store.RevokeToken(write, accessor)
	t.changed(ctx, accessor, withoutHash(revoked), nil, err)
	if errors.Is(err, staging.ErrNoResource) {
		return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no token %q; GET /v1/tokens lists them", accessor), Cause: err}
	}
	if err != nil {
		return refusal.NoConsul(err)
	}
	return nil
}

// bootstrapName is the name of the first administrator's token.
const bootstrapName = "bootstrap"

// Bootstrap makes the first administrator's token, once for all brokers.
func (t *Tokens) Bootstrap(ctx context.Context) (first access.Token, secret string, err error) {
	first, secret = access.NewToken(access.TokenRequest{Name: bootstrapName, Role: access.Admin}, time.Now())
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	made, err := t.store.Bootstrap(write, first)
	if made || err != nil {
		t.changed(ctx, first.Accessor, nil, withoutHash(first), err)
	}
	if err != nil {
		return first, "", refusal.NoConsul(err)
	}
	if !made {
		key := t.store.BootstrapKey()
		return first, "", &refusal.Error{Kind: refusal.Bootstrapped, Detail: fmt.Sprintf(
			"there are tokens already, and so is an administrator: ask for one (greenroom token create). "+
				"Where no administrator's is left, delete the key %s in Consul (consul kv delete %s) and call again; tokens that there are stay", key, key)}
	}
	return first, secret, nil
}

// changed records a change of a token for auditors.
func (t *Tokens) changed(ctx context.Context, accessor string, before, after any, err error) {
	t.auditor.Changed(ctx, "token", accessor, before, after, err)
}

// withoutHash is a token as auditors see it.
func withoutHash(t access.Token) map[string]any {
	seen := map[string]any{"accessor": t.Accessor, "name": t.Name, "role": t.Role, "created_at": t.CreatedAt}
	if !t.ExpiresAt.IsZero() {
		seen["expires_at"] = t.ExpiresAt
	}
	if t.Rate > 0 {
		seen["rate"] = t.Rate
	}
	return seen
}
