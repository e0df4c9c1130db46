package access

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// LoginSecret names the keys, shared by all brokers, that seal logins.
const LoginSecret = "login"

// LoginLife is how long a login to the operators' page lasts. It ends earlier if its token
// does, because every call checks the token.
const LoginLife = 12 * time.Hour

// maxLoginToken is the maximum length of a token for a login: a cookie holds 4096 bytes,
// and sealing makes the token a third longer.
const maxLoginToken = 2900

// ErrLoginOver means that a login has expired or is not valid. It does not say which.
var ErrLoginOver = errors.New("this login is over: log in again")

// ErrTokenTooLong means that a token does not fit into a browser's cookie.
var ErrTokenTooLong = errors.New("this token is too long for a login: ask for a shorter one, or send it as the bearer token")

// Login seals a token for a browser's cookie. The cookie's holder can use the token until
// the login is over, but cannot read it. Nothing is stored: every broker with the same
// secret can open the login.
func (g Guard) Login(ctx context.Context, token string, now time.Time) (sealed string, err error) {
	if len(token) > maxLoginToken {
		return "", ErrTokenTooLong
	}
	aead, err := g.aead(ctx, now)
	if err != nil {
		return "", err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(now.Add(LoginLife).Unix()))
	// The result starts with the random nonce.
	out := aead.Seal(nil, nil, append(plain, token...), nil)
	return base64.RawURLEncoding.EncodeToString(out), nil
}

// LoginToken returns the token that a login seals. Errors are ErrLoginOver or an
// *UnavailableError.
func (g Guard) LoginToken(ctx context.Context, sealed string, now time.Time) (token string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", ErrLoginOver
	}
	aead, err := g.aead(ctx, now)
	if err != nil {
		return "", err
	}
	plain, err := aead.Open(nil, nil, raw, nil)
	if err != nil || len(plain) < 8 || now.Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return "", ErrLoginOver
	}
	return string(plain[8:]), nil
}

// aead returns a cipher that seals with the key that signs now, and opens what was sealed with
// any key that is accepted now.
func (g Guard) aead(ctx context.Context, now time.Time) (cipher.AEAD, error) {
	if g.Keys == nil {
		return nil, ErrLoginOver
	}
	keys, err := g.Keys(ctx)
	if err != nil {
		return nil, &UnavailableError{What: "the secret of logins in Consul", Stored: true, Cause: err}
	}
	sealing, err := loginCipher(keys.Signing(now))
	if err != nil {
		return nil, err
	}
	ring := loginCiphers{AEAD: sealing}
	for _, secret := range keys.Accepted(now) {
		opening, err := loginCipher(secret)
		if err != nil {
			return nil, err
		}
		ring.opening = append(ring.opening, opening)
	}
	return ring, nil
}

// loginCiphers is a cipher of several keys.
type loginCiphers struct {
	// AEAD seals.
	cipher.AEAD
	// opening are those that open, the one of the newest key first.
	opening []cipher.AEAD
}

// Open implements cipher.AEAD.
func (c loginCiphers) Open(dst, nonce, sealed, data []byte) (plain []byte, err error) {
	err = ErrLoginOver
	for _, with := range c.opening {
		if plain, err = with.Open(dst, nonce, sealed, data); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

// loginCipher returns AES-256-GCM with a key that is derived for logins only.
func loginCipher(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "greenroom login", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of logins: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("create the cipher of logins: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
