// Package issuer checks the tokens of an OpenID Connect issuer, and logs browsers in with it.
//
// It promises:
//   - A token is accepted only if it is from this issuer, for our audience, not expired,
//     and signed with a key that the issuer publishes.
//   - Wrong tokens cause at most one request a second to the issuer, after a short burst.
//   - A login is an authorization code that was issued for this very login: with its state,
//     its nonce and its PKCE verifier.
//   - An issuer that does not answer is an *access.UnavailableError, a wrong token an
//     *access.RefusedError.
//
// Keys are cached. While the issuer is unreachable, only tokens that are signed with a key
// that is not in the cache cannot be checked.
package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
)

// requestTimeout bounds one request to the issuer, including its connection and the body
// of the response.
const requestTimeout = 5 * time.Second

// The limit of requests to the issuer: one a second, with a burst, because the discovery
// document and the keys are requested together.
const (
	requestInterval = time.Second
	requestBurst    = 4
)

// Settings say which tokens are accepted.
type Settings struct {
	// URL is the issuer's URL, as in the iss claim of its tokens.
	URL string
	// Audience must be among a token's audiences.
	Audience string
	// Mapping says how a token's claims become a caller.
	Mapping access.Mapping
	// Login is the client with which browsers log in; nil for none.
	Login *LoginSettings
	// Transport is for the requests to the issuer; nil is the standard library's.
	Transport http.RoundTripper
}

// Issuer is one OpenID Connect issuer. It is safe for concurrent use.
type Issuer struct {
	s      Settings
	client *http.Client
	// exchanges is the client for codes of logins.
	exchanges *http.Client

	mu sync.Mutex
	// found is nil until the discovery document was read.
	found *discovered
}

// discovered is what the discovery document of the issuer says.
type discovered struct {
	// tokens verifies the tokens that are sent to us, logins the ID tokens of logins; it is
	// nil without Settings.Login.
	tokens, logins *oidc.IDTokenVerifier
	endpoint       oauth2.Endpoint
}

// New returns an issuer. It sends no request, so that a broker can start while the issuer
// is unreachable.
func New(s Settings) *Issuer {
	if s.Transport == nil {
		s.Transport = http.DefaultTransport
	}
	bounded := &limitedTransport{next: s.Transport, limit: rate.NewLimiter(rate.Every(requestInterval), requestBurst)}
	return &Issuer{
		s: s, client: &http.Client{Transport: bounded, Timeout: requestTimeout},
		exchanges: newExchangeClient(s.Transport),
	}
}

// Identify checks a token and returns its caller. Errors are an *access.RefusedError or an
// *access.UnavailableError.
func (i *Issuer) Identify(ctx context.Context, jwt string) (access.Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := i.discover(ctx)
	if err != nil {
		return access.Caller{}, unavailable(err)
	}
	_, claims, err := verify(ctx, found.tokens, jwt)
	if err != nil {
		return access.Caller{}, err
	}
	return i.s.Mapping.Caller(claims)
}

// verify checks a token and returns it with its claims. Errors are an *access.RefusedError or
// an *access.UnavailableError.
func verify(ctx context.Context, verifier *oidc.IDTokenVerifier, jwt string) (*oidc.IDToken, map[string]any, error) {
	// go-oidc's error does not wrap the error of the key set, so the key set stores it.
	signature := &signatureError{}
	token, err := verifier.Verify(context.WithValue(ctx, signatureErrorKey{}, signature), jwt)
	var unreachable *unreachableError
	switch {
	case errors.As(signature.err, &unreachable):
		return nil, nil, unavailable(unreachable)
	case signature.err != nil && ctx.Err() != nil:
		return nil, nil, unavailable(ctx.Err())
	case err != nil:
		return nil, nil, &access.RefusedError{Reason: refusalReason(err)}
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return nil, nil, &access.RefusedError{Reason: "the token's claims cannot be read"}
	}
	return token, claims, nil
}

func unavailable(err error) error {
	return &access.UnavailableError{What: "the OpenID Connect issuer", Cause: err}
}

// refusalReason says what is wrong with a token. The library's text may contain parts of
// the token, so it is not used.
func refusalReason(err error) string {
	var expired *oidc.TokenExpiredError
	if errors.As(err, &expired) {
		return "this token has expired: sign in again"
	}
	return "this token is not one that the issuer signed for this audience: sign in again"
}

// discover returns what the issuer's discovery document says. The first call reads it.
func (i *Issuer) discover(ctx context.Context) (*discovered, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.found != nil {
		return i.found, nil
	}
	// Waiting for the lock may have taken as long as another caller's deadline.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.s.URL)
	if err != nil {
		return nil, fmt.Errorf("read the discovery document of %s: %w", i.s.URL, err)
	}
	var metadata struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		ClientAuth []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("decode the discovery document of %s: %w", i.s.URL, err)
	}
	keys := errorCapturingKeySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), i.client), metadata.Keys)}
	verifier := func(audience string) *oidc.IDTokenVerifier {
		return oidc.NewVerifier(i.s.URL, keys, &oidc.Config{
			ClientID: audience, SupportedSigningAlgs: acceptedAlgorithms(metadata.Algorithms),
		})
	}
	found := &discovered{tokens: verifier(i.s.Audience), endpoint: provider.Endpoint()}
	if i.s.Login != nil {
		found.logins = verifier(i.s.Login.ClientID)
		found.endpoint.AuthStyle = authStyle(metadata.ClientAuth, i.s.Login.ClientSecret)
	}
	i.found = found
	return found, nil
}

// asymmetricAlgorithms are the signature algorithms for which only the issuer has the key.
var asymmetricAlgorithms = map[string]bool{
	oidc.RS256: true, oidc.RS384: true, oidc.RS512: true, oidc.ES256: true, oidc.ES384: true, oidc.ES512: true,
	oidc.PS256: true, oidc.PS384: true, oidc.PS512: true, oidc.EdDSA: true,
}

// acceptedAlgorithms returns the issuer's algorithms that are accepted. If there are none,
// it returns RS256, which every issuer must support.
func acceptedAlgorithms(offered []string) []string {
	var accepted []string
	for _, a := range offered {
		if asymmetricAlgorithms[a] {
			accepted = append(accepted, a)
		}
	}
	if len(accepted) == 0 {
		return []string{oidc.RS256}
	}
	return accepted
}

// signatureError holds the key set's error for one token.
type signatureError struct{ err error }

type signatureErrorKey struct{}

// errorCapturingKeySet is a key set that stores its error in the context's signatureError.
type errorCapturingKeySet struct{ oidc.KeySet }

// VerifySignature implements oidc.KeySet.
func (k errorCapturingKeySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if c, ok := ctx.Value(signatureErrorKey{}).(*signatureError); ok {
		c.err = err
	}
	return payload, err
}
