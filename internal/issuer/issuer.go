// Package issuer checks the tokens of an OpenID Connect issuer.
//
// It promises that a token is accepted only with a signature by one of the keys
// that the issuer publishes, for our audience, from this issuer, and within its
// time; that nobody who sends wrong tokens can make it ask the issuer more than
// once a second; and that an issuer that does not answer is told apart from a
// token that is wrong. Keys are kept: an issuer that is away stops only tokens
// signed with keys that were never seen.
package issuer

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
)

// timeout bounds one question to the issuer, from its connection to the answer's end.
const timeout = 5 * time.Second

// Questions to the issuer: one a second, and a few at once: its description and
// its keys belong together.
const (
	questionsEvery = time.Second
	questionsBurst = 4
)

// Settings say whose tokens are accepted.
type Settings struct {
	// URL is the issuer's, as its tokens name it.
	URL string
	// Audience must be among a token's.
	Audience string
	Mapping  access.Mapping
	// Transport is how the issuer is asked; nil is the standard library's.
	Transport http.RoundTripper
}

// Issuer is one OpenID Connect issuer. It may be used concurrently.
type Issuer struct {
	s      Settings
	client *http.Client

	mu sync.Mutex
	// verifier is nil until the issuer described itself.
	verifier *oidc.IDTokenVerifier
}

// New returns an issuer. Nothing is asked yet: a broker starts while it is away.
func New(s Settings) *Issuer {
	if s.Transport == nil {
		s.Transport = http.DefaultTransport
	}
	bounded := &asked{next: s.Transport, limit: rate.NewLimiter(rate.Every(questionsEvery), questionsBurst)}
	return &Issuer{s: s, client: &http.Client{Transport: bounded, Timeout: timeout}}
}

// Identify checks a token and gives who it is about. Errors are an
// *access.RefusedError or an *access.UnavailableError.
func (i *Issuer) Identify(ctx context.Context, jwt string) (access.Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	verifier, err := i.described(ctx)
	if err != nil {
		return access.Caller{}, unavailable(err)
	}
	// go-oidc's error does not wrap that of the keys, so that it is caught where it is made.
	keys := &caught{}
	token, err := verifier.Verify(context.WithValue(ctx, caughtKey{}, keys), jwt)
	var away *awayError
	switch {
	case errors.As(keys.err, &away):
		return access.Caller{}, unavailable(away)
	case keys.err != nil && ctx.Err() != nil:
		return access.Caller{}, unavailable(ctx.Err())
	case err != nil:
		return access.Caller{}, &access.RefusedError{Reason: reason(err)}
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return access.Caller{}, &access.RefusedError{Reason: "the token's claims cannot be read"}
	}
	return i.s.Mapping.Caller(claims)
}

func unavailable(err error) error {
	return &access.UnavailableError{What: "the OpenID Connect issuer", Cause: err}
}

// reason says what is wrong with a token. The library's text may hold parts of
// it, so that only what is known to hold none is passed on.
func reason(err error) string {
	var expired *oidc.TokenExpiredError
	if errors.As(err, &expired) {
		return "this token has expired: sign in again"
	}
	return "this token is not one that the issuer signed for this audience: sign in again"
}

// described asks the issuer to describe itself, once.
func (i *Issuer) described(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil {
		return i.verifier, nil
	}
	// Those who wait here have a deadline too: the one who asks holds the lock no longer than its own.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.s.URL)
	if err != nil {
		return nil, err
	}
	var found struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&found); err != nil {
		return nil, err
	}
	keys := catching{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), i.client), found.Keys)}
	i.verifier = oidc.NewVerifier(i.s.URL, keys, &oidc.Config{
		ClientID: i.s.Audience, SupportedSigningAlgs: signedAlgorithms(found.Algorithms),
	})
	return i.verifier, nil
}

// asymmetric are the algorithms by which only the issuer can sign.
var asymmetric = map[string]bool{
	oidc.RS256: true, oidc.RS384: true, oidc.RS512: true, oidc.ES256: true, oidc.ES384: true, oidc.ES512: true,
	oidc.PS256: true, oidc.PS384: true, oidc.PS512: true, oidc.EdDSA: true,
}

// signedAlgorithms are those of the issuer's that are accepted; without any it is
// the one that every issuer must have.
func signedAlgorithms(offered []string) []string {
	var taken []string
	for _, a := range offered {
		if asymmetric[a] {
			taken = append(taken, a)
		}
	}
	if len(taken) == 0 {
		return []string{oidc.RS256}
	}
	return taken
}

// caught holds what a key set said of one token.
type caught struct{ err error }

type caughtKey struct{}

// catching is a key set that leaves its error with the caller.
type catching struct{ oidc.KeySet }

// VerifySignature implements oidc.KeySet.
func (k catching) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if c, ok := ctx.Value(caughtKey{}).(*caught); ok {
		c.err = err
	}
	return payload, err
}
