package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The reasons why a caller is not let in; each says what to do next.
var (
	// ErrNoToken: none was sent.
	ErrNoToken = errors.New("send Authorization: Bearer TOKEN")
	// ErrUnknown: it is none that works, or none any more. Which of the two is not told.
	ErrUnknown = errors.New("this token is not known, or was revoked: ask an administrator for another")
	// ErrExpired: it worked once.
	ErrExpired = errors.New("this token has expired: ask for a fresh one")
)

// UnavailableError: who the caller is could not be found out now. The caller is
// not let in, and is not told that its token is wrong, since it may be right.
type UnavailableError struct {
	// What does not answer, for people.
	What string
	// Stored: it is a stored token's; otherwise a token of the issuer's.
	Stored bool
	Cause  error
}

// Error implements error.
func (e *UnavailableError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Cause) }

// Unwrap gives the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// RefusedError: a token of the identity provider is not accepted, and why.
type RefusedError struct{ Reason string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Reason }

// Issuer checks the tokens of an identity provider. Its errors are a
// *RefusedError or an *UnavailableError.
type Issuer interface {
	Identify(ctx context.Context, jwt string) (Caller, error)
}

// Guard finds out who a caller is. The zero value is open: everybody is Anybody.
type Guard struct {
	// On demands a token of every caller.
	On bool
	// Agent is the hash of the broker's own token, see Hash; "" for none. It is an administrator's.
	Agent string
	// Tokens gives the copy of those that are stored, or nil while it was not read yet.
	Tokens func() *Tokens
	// Secret gives what all brokers share to seal logins with; nil: nobody logs in.
	Secret func(ctx context.Context) ([]byte, error)
	// Issuer is nil where there is none.
	Issuer Issuer
	// AdminsElsewhere: the issuer has administrators.
	AdminsElsewhere bool
}

// Rule is an operation's rule. The way to the first administrator's token is open
// only while there is no other way to be one.
func (g Guard) Rule(operation string) Rule {
	if operation == "bootstrap" && (g.Agent != "" || g.AdminsElsewhere) {
		return Admins
	}
	return RuleFor(operation)
}

// Identify finds out who shows a bearer token. For a stored one it asks nobody.
// Its errors are ErrNoToken, ErrUnknown, ErrExpired, a *RefusedError or an
// *UnavailableError.
func (g Guard) Identify(ctx context.Context, bearer string, now time.Time) (Caller, error) {
	if !g.On {
		return Anybody, nil
	}
	if bearer == "" {
		return Caller{}, ErrNoToken
	}
	// Hashes are of one length, so that the comparison's time tells nothing, not even that.
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
		return Caller{}, &UnavailableError{What: "the tokens in Consul", Stored: true, Cause: errors.New("they were not read yet")}
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
