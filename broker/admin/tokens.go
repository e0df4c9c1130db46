package admin

import (
	"cmp"
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
	// ChangeToken replaces a token by what change returns of it. It may call change again
	// where another change came first. It returns staging.ErrNoResource for no token, and an
	// error of change as it is.
	ChangeToken(ctx context.Context, accessor string, change func(access.Token) (access.Token, error)) (before, after access.Token, err error)
	// NoteTokenUse records that a token was used at a time, unless it was used later, or is
	// gone. TokenUses returns when each was used last, by its accessor.
	NoteTokenUse(ctx context.Context, accessor string, at time.Time) error
	TokenUses(ctx context.Context) (map[string]time.Time, error)
	// Bootstrap stores the first administrator's token; made is false when that was
	// done before. BootstrapKey is the key in Consul that records it.
	Bootstrap(ctx context.Context, t access.Token) (made bool, err error)
	BootstrapKey() string
}

// Tokens administers the API's tokens. It may be used concurrently.
type Tokens struct {
	store   TokenStore
	auditor Auditor
	// maxLife bounds the life of a new secret; 0 does not.
	maxLife time.Duration
	uses    *tokenUses
}

// TokenInfo is a token with what is known of its use.
type TokenInfo struct {
	access.Token
	// LastUsed is when it was used last, to a minute or so; zero for never.
	LastUsed time.Time
}

// List returns the tokens, oldest first, also those that have expired. Their secrets are
// not stored.
func (t *Tokens) List(ctx context.Context) ([]TokenInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	tokens, err := t.store.RefreshTokens(ctx)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	uses, err := t.store.TokenUses(ctx)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	var all []TokenInfo
	for _, token := range tokens.All() {
		all = append(all, TokenInfo{Token: token, LastUsed: uses[token.Accessor]})
	}
	return all, nil
}

// Used records that a token was used at a time, in the background. It does not wait.
func (t *Tokens) Used(accessor string, at time.Time) { t.uses.note(accessor, at) }

// Create makes a token and returns its secret, which nothing returns again. Other brokers
// accept the token a moment later.
func (t *Tokens) Create(ctx context.Context, r access.TokenRequest) (made access.Token, secret string, err error) {
	if err := r.Validate(); err != nil {
		return made, "", err
	}
	if r, err = t.bounded(r); err != nil {
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

// bounded returns a request whose token lives no longer than it may. One that asks for longer
// is refused, and one that does not say how long gets the bound.
func (t *Tokens) bounded(r access.TokenRequest) (access.TokenRequest, error) {
	if t.maxLife > 0 && r.ExpiresIn.Std() > t.maxLife {
		return r, staging.Invalid("token", "expires_in", "must be at most %s, which this broker's max_token_life allows, is %s", staging.Duration(t.maxLife), r.ExpiresIn)
	}
	r.ExpiresIn = cmp.Or(r.ExpiresIn, staging.Duration(t.maxLife))
	return r, nil
}

// Rotate gives a token a new secret and returns it; nothing returns it again. The old secret
// works on for the rotation's overlap. Other brokers accept the new one a moment later.
func (t *Tokens) Rotate(ctx context.Context, accessor string, r access.Rotation) (rotated access.Token, secret string, err error) {
	r.MaxLife = t.maxLife
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	before, rotated, err := t.store.ChangeToken(write, accessor, func(old access.Token) (changed access.Token, err error) {
		changed, secret, err = old.Rotate(r, time.Now())
		return changed, err
	})
	if invalid, ok := errors.AsType[*staging.InvalidError](err); ok {
		return rotated, "", invalid
	}
	t.changed(ctx, accessor, withoutHash(before), withoutHash(rotated), err)
	if errors.Is(err, staging.ErrNoResource) {
		return rotated, "", NoToken(accessor, err)
	}
	if err != nil {
		return rotated, "", refusal.NoConsul(err)
	}
	return rotated, secret, nil
}

// NoToken is the refusal of a token that does not exist.
func NoToken(accessor string, cause error) *refusal.Error {
	return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no token %q; GET /v1/tokens lists them", accessor), Cause: cause}
}

// Revoke ends a token. Other brokers accept it for a moment more; one that Consul does not
// answer accepts it until Consul does.
func (t *Tokens) Revoke(ctx context.Context, accessor string) error {
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	revoked, err := t.store.RevokeToken(write, accessor)
	t.changed(ctx, accessor, withoutHash(revoked), nil, err)
	if errors.Is(err, staging.ErrNoResource) {
		return NoToken(accessor, err)
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
	first, secret = access.NewToken(access.TokenRequest{Name: bootstrapName, Role: access.Admin, ExpiresIn: staging.Duration(t.maxLife)}, time.Now())
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
			"the first token was made before, and that works once: ask an administrator for another (greenroom token create). "+
				"Where no administrator's token is left, for example because all are revoked, delete the key %s in Consul (consul kv delete %s) and call again; other tokens stay",
			key, key)}
	}
	return first, secret, nil
}

// changed records a change of a token for auditors.
func (t *Tokens) changed(ctx context.Context, accessor string, before, after any, err error) {
	t.auditor.Changed(ctx, "token", accessor, before, after, err)
}

// withoutHash is a token as auditors see it: without the hashes of its secrets.
func withoutHash(t access.Token) map[string]any {
	seen := map[string]any{"accessor": t.Accessor, "name": t.Name, "role": t.Role, "created_at": t.CreatedAt}
	if !t.ExpiresAt.IsZero() {
		seen["expires_at"] = t.ExpiresAt
	}
	if t.Rate > 0 {
		seen["rate"] = t.Rate
	}
	if !t.Scope.IsZero() {
		seen["scope"] = t.Scope
	}
	if !t.RotatedAt.IsZero() {
		seen["rotated_at"] = t.RotatedAt
	}
	if len(t.Previous) > 0 {
		seen["old_secrets"] = len(t.Previous)
	}
	return seen
}
