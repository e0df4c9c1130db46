package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Tokens lists the tokens, oldest first, those that have expired among them. No
// secret is known of any.
func (b *Broker) Tokens(ctx context.Context) ([]access.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	tokens, err := b.Registry.RefreshTokens(ctx)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	return tokens.All(), nil
}

// CreateToken makes a token. Its secret is given here and never again. At other
// brokers it works a moment later.
func (b *Broker) CreateToken(ctx context.Context, r access.TokenRequest) (t access.Token, secret string, err error) {
	if err := r.Validate(); err != nil {
		return t, "", err
	}
	t, secret = access.NewToken(r, time.Now())
	write, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	err = b.Registry.CreateToken(write, t)
	b.changed(ctx, "token", t.Accessor, nil, withoutHash(t), err)
	if err != nil {
		return t, "", refusal.NoConsul(err)
	}
	return t, secret, nil
}

// RevokeToken ends a token. At other brokers it works for a moment more; at one
// that Consul does not answer, until it does.
func (b *Broker) RevokeToken(ctx context.Context, accessor string) error {
	write, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	t, err := b.Registry.RevokeToken(write, accessor)
	b.changed(ctx, "token", accessor, withoutHash(t), nil, err)
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

// Bootstrap makes the first administrator's token, once and for all brokers.
func (b *Broker) Bootstrap(ctx context.Context) (t access.Token, secret string, err error) {
	t, secret = access.NewToken(access.TokenRequest{Name: bootstrapName, Role: access.Admin}, time.Now())
	write, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	made, err := b.Registry.Bootstrap(write, t)
	if made || err != nil {
		b.changed(ctx, "token", t.Accessor, nil, withoutHash(t), err)
	}
	if err != nil {
		return t, "", refusal.NoConsul(err)
	}
	if !made {
		key := b.Registry.BootstrapKey()
		return t, "", &refusal.Error{Kind: refusal.Bootstrapped, Detail: fmt.Sprintf(
			"there are tokens already, and so is an administrator: ask for one (greenroom token create). "+
				"Where no administrator's is left, delete the key %s in Consul (consul kv delete %s) and call again; tokens that there are stay", key, key)}
	}
	return t, secret, nil
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
