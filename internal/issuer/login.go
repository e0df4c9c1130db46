package issuer

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
)

// LoginSettings are the client at the issuer with which browsers log in.
type LoginSettings struct {
	// ClientID is the client's id, ClientSecret its secret; "" for a public client.
	ClientID, ClientSecret string
	// Redirect is the URL to which the issuer sends a browser back, with its code.
	Redirect string
	// Name is the issuer's name for people; "" is the host of its URL.
	Name string
	// Scopes are requested beside openid; none is profile.
	Scopes []string
}

// The limit of codes that are exchanged with the issuer. Its discovery document and its keys
// have a limit of their own, so that strangers with invented codes cannot use it up.
const (
	exchangeInterval = 50 * time.Millisecond
	exchangeBurst    = 40
)

func newExchangeClient(next http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: &limitedTransport{next: next, limit: rate.NewLimiter(rate.Every(exchangeInterval), exchangeBurst), refuses: true},
		Timeout:   requestTimeout,
		// The code and the client's secret are for the issuer's token endpoint alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// authStyle returns how the client authenticates to the issuer: by the way that every issuer
// must support, unless the issuer lists another one alone. (The library would try both, and a
// code counts once.)
func authStyle(supported []string, secret string) oauth2.AuthStyle {
	if secret == "" || len(supported) > 0 && !slices.Contains(supported, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// Name returns the issuer's name for people.
func (i *Issuer) Name() string {
	if i.s.Login != nil && i.s.Login.Name != "" {
		return i.s.Login.Name
	}
	if u, err := url.Parse(i.s.URL); err == nil {
		return u.Host
	}
	return i.s.URL
}

// oauthClient returns the client at the issuer.
func (i *Issuer) oauthClient(found *discovered) *oauth2.Config {
	l := i.s.Login
	scopes := l.Scopes
	if len(scopes) == 0 {
		scopes = []string{"profile"}
	}
	return &oauth2.Config{
		ClientID: l.ClientID, ClientSecret: l.ClientSecret, Endpoint: found.endpoint, RedirectURL: l.Redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == oidc.ScopeOpenID })...),
	}
}

// Begin returns the URL of the issuer at which a browser begins a login. An error is an
// *access.UnavailableError.
func (i *Issuer) Begin(ctx context.Context, a access.Attempt) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := i.discover(ctx)
	if err != nil {
		return "", unavailable(err)
	}
	return i.oauthClient(found).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

// errorCode is what an issuer's error code must match to be repeated to people.
var errorCode = regexp.MustCompile(`^[a-z_]{1,64}$`)

// refusal returns the error for an error code with which the issuer sends a browser back.
func (i *Issuer) refusal(code string) error {
	if code == "access_denied" {
		return refusedLogin(access.LoginDenied, "%s did not let the user in (access_denied)", i.Name())
	}
	if !errorCode.MatchString(code) {
		code = "an unknown error"
	}
	return refusedLogin(access.LoginBroken, "%s could not log the user in (%s)", i.Name(), code)
}

func refusedLogin(why access.LoginFailure, format string, args ...any) error {
	return &access.RefusedError{Login: why, Reason: fmt.Sprintf(format, args...)}
}

// Finish exchanges the code that a browser came back with, and returns the claims of its ID
// token that Mapping needs. Errors are an *access.RefusedError or an *access.UnavailableError.
func (i *Issuer) Finish(ctx context.Context, a access.Attempt, r access.ProviderResponse) (access.Claims, error) {
	switch {
	case r.Issuer != "" && r.Issuer != i.s.URL:
		return nil, refusedLogin(access.LoginRefused, "the answer is of another issuer than %s", i.Name())
	case r.Error != "":
		return nil, i.refusal(r.Error)
	case r.Code == "":
		return nil, refusedLogin(access.LoginBroken, "%s sent the browser back without a code", i.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := i.discover(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	token, err := i.oauthClient(found).Exchange(context.WithValue(ctx, oauth2.HTTPClient, i.exchanges), r.Code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, i.exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, refusedLogin(access.LoginClient, "%s sent no ID token: the scope openid must be allowed for the client %s", i.Name(), i.s.Login.ClientID)
	}
	id, claims, err := verify(ctx, found.logins, raw)
	if err != nil {
		if no, ok := errors.AsType[*access.RefusedError](err); ok {
			no.Login = access.LoginRefused
		}
		return nil, err
	}
	// Without its nonce it may have been issued for anybody's login. A token for several
	// audiences names the client that it was issued to.
	azp, named := claims["azp"]
	switch {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1:
		return nil, refusedLogin(access.LoginRefused, "the ID token of %s belongs to another login", i.Name())
	case named && azp != i.s.Login.ClientID:
		return nil, refusedLogin(access.LoginRefused, "the ID token of %s was issued to another application", i.Name())
	}
	return i.s.Mapping.Keep(claims)
}

// Caller returns the caller that the claims of a login describe, by the mapping of now.
func (i *Issuer) Caller(claims access.Claims) (access.Caller, error) {
	return i.s.Mapping.Caller(claims)
}

// ID identifies the issuer and the client: a login by another one does not count.
func (i *Issuer) ID() string { return i.s.URL + " " + i.s.Login.ClientID }

// exchangeError returns the error for a code that could not be exchanged. The issuer's own
// text is not used, since it may repeat the code.
func (i *Issuer) exchangeError(err error) error {
	var (
		denied      *oauth2.RetrieveError
		unreachable *unreachableError
	)
	switch {
	case errors.As(err, &unreachable):
		return unavailable(unreachable)
	case !errors.As(err, &denied):
		return unavailable(errors.New("it answered a code with something else than a token"))
	case denied.ErrorCode == "invalid_client", denied.ErrorCode == "unauthorized_client":
		return refusedLogin(access.LoginClient, "%s does not accept the client %s or its secret: correct --oidc-client-id and --oidc-client-secret-file, or the client", i.Name(), i.s.Login.ClientID)
	}
	return refusedLogin(access.LoginRefused, "%s does not accept the code of this login, which counts once and for a short time", i.Name())
}
