package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// The reasons why a caller is refused. Each says what to do next.
var (
	// ErrNoToken means that no token was sent.
	ErrNoToken = errors.New("send Authorization: Bearer TOKEN")
	// ErrUnknown means that the token never existed or was revoked. It does not say which.
	ErrUnknown = errors.New("this token is not known, or was revoked: ask an administrator for another")
	// ErrExpired means that the token was valid and has expired.
	ErrExpired = errors.New("this token has expired: ask for a new one")
)

// UnavailableError means that the caller cannot be checked now. The call is refused, but
// not as one with a wrong token, since the token may be valid.
type UnavailableError struct {
	// What does not answer, such as "the OpenID Connect issuer".
	What string
	// Stored is true if a stored token cannot be checked, false for an issuer's token.
	Stored bool
	Cause  error
}

// Error implements error.
func (e *UnavailableError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Cause) }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// RefusedError means that a token of the identity provider is not accepted, and says why.
type RefusedError struct {
	Reason string
	// Login is why a login with the provider failed; "" if the user's claims are the reason.
	Login LoginFailure
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Reason }

// Issuer checks the tokens of an identity provider. Its errors are a
// *RefusedError or an *UnavailableError.
type Issuer interface {
	Identify(ctx context.Context, jwt string) (Caller, error)
}

// Guard authenticates callers. The zero value requires no token: every caller is Anybody.
type Guard struct {
	// On requires a token of every caller.
	On bool
	// Agent is the hash of the broker's own token (see Hash), which is an
	// administrator's; "" for none.
	Agent string
	// Tokens returns the cache of the stored tokens, or nil while it was not read yet.
	Tokens func() *Tokens
	// Keys returns the keys that all brokers share to seal logins (see LoginSecret); nil
	// disables logins.
	Keys func(ctx context.Context) (staging.SigningKeys, error)
	// UserLocks returns the cache of the locked users, or nil while it was not read yet. Nil:
	// no user is locked.
	UserLocks func() *UserLocks
	// Issuer checks JWTs; nil if none are accepted.
	Issuer Issuer
	// Provider logs browsers in; nil if they log in with tokens alone.
	Provider Provider
	// AdminsElsewhere is set if the issuer has administrators.
	AdminsElsewhere bool
}

// Rule returns an operation's rule. Anybody may call bootstrap, which creates the first
// administrator's token, but only if there is no other way to be an administrator.
func (g Guard) Rule(operation string) Rule {
	if operation == "bootstrap" && (g.Agent != "" || g.AdminsElsewhere) {
		return Admins
	}
	return RuleFor(operation)
}

// Identify returns the caller with a bearer token. It checks a stored token without a
// remote call. Errors are ErrNoToken, ErrUnknown, ErrExpired, a *RefusedError, a *LockedError
// or an *UnavailableError. Beside a *LockedError it returns the caller, too.
func (g Guard) Identify(ctx context.Context, bearer string, now time.Time) (Caller, error) {
	return g.unlocked(g.identify(ctx, bearer, now))
}

// unlocked returns a caller, with an error if the caller's user is locked, or that is not known.
func (g Guard) unlocked(c Caller, err error) (Caller, error) {
	if err == nil && c.Subject != "" {
		err = g.lockedOut(c.Subject)
	}
	return c, err
}

// lockedOut returns a *LockedError if a user is locked, and an *UnavailableError if that is
// not known.
func (g Guard) lockedOut(userID string) error {
	if g.UserLocks == nil {
		return nil
	}
	locks := g.UserLocks()
	switch {
	case locks == nil:
		return &UnavailableError{What: "the locked users in Consul", Stored: true, Cause: errNotRead}
	case locks.Locked(userID):
		return &LockedError{UserID: userID}
	}
	return nil
}

// errNotRead: a cache was not read since the program began.
var errNotRead = errors.New("not read yet")

// identify is Identify for callers that may be locked.
func (g Guard) identify(ctx context.Context, bearer string, now time.Time) (Caller, error) {
	if !g.On {
		return Anybody, nil
	}
	if bearer == "" {
		return Caller{}, ErrNoToken
	}
	// All hashes have the same length, so the time of the comparison reveals nothing.
	if g.Agent != "" && subtle.ConstantTimeCompare([]byte(g.Agent), []byte(Hash(bearer))) == 1 {
		return Caller{Role: Admin, Accessor: AccessorAgent, Name: "GREENROOM_TOKEN"}, nil
	}
	if g.Issuer != nil && strings.Count(bearer, ".") == 2 {
		return g.Issuer.Identify(ctx, bearer)
	}
	var tokens *Tokens
	if g.Tokens != nil {
		tokens = g.Tokens()
	}
	if tokens == nil {
		return Caller{}, &UnavailableError{What: "the tokens in Consul", Stored: true, Cause: errNotRead}
	}
	t, ok := tokens.Find(bearer)
	switch {
	case !ok:
		return Caller{}, ErrUnknown
	case t.Expired(now):
		return Caller{}, ErrExpired
	}
	return t.Caller(), nil
}
