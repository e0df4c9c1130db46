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
	"time"
)

// LoginLife is how long a login at the operators' page lasts. It ends sooner when its
// token does: the token is looked at anew in every call.
const LoginLife = 12 * time.Hour

// maxLoginToken bounds a token that can be logged in with: browsers keep cookies of
// 4096 bytes, and sealed it is a third longer.
const maxLoginToken = 2900

// ErrLoginOver: a login is too old, or none of ours. Which of the two is not told.
var ErrLoginOver = errors.New("this login is over: log in again")

// ErrTokenTooLong: a token does not fit into a browser's cookie.
var ErrTokenTooLong = errors.New("this token is too long for a login: ask for a shorter one, or send it as the bearer token")

// Login seals a token for a browser to keep. Whoever holds what it gives can use the
// token until the login is over, and can not read it. Every broker that shares the
// guard's secret can open it: nothing is stored.
func (g Guard) Login(ctx context.Context, token string, now time.Time) (sealed string, err error) {
	if len(token) > maxLoginToken {
		return "", ErrTokenTooLong
	}
	seal, err := g.seal(ctx)
	if err != nil {
		return "", err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(now.Add(LoginLife).Unix()))
	// The nonce is random, and in front of what is sealed.
	out := seal.Seal(nil, nil, append(plain, token...), nil)
	return base64.RawURLEncoding.EncodeToString(out), nil
}

// LoginToken gives the token that a login stands for. Its errors are ErrLoginOver or an
// *UnavailableError.
func (g Guard) LoginToken(ctx context.Context, sealed string, now time.Time) (token string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", ErrLoginOver
	}
	seal, err := g.seal(ctx)
	if err != nil {
		return "", err
	}
	plain, err := seal.Open(nil, nil, raw, nil)
	if err != nil || len(plain) < 8 || now.Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return "", ErrLoginOver
	}
	return string(plain[8:]), nil
}

// seal is AES-256-GCM with a key for this use alone.
func (g Guard) seal(ctx context.Context) (cipher.AEAD, error) {
	if g.Secret == nil {
		return nil, ErrLoginOver
	}
	secret, err := g.Secret(ctx)
	if err != nil {
		return nil, &UnavailableError{What: "the secret of logins in Consul", Stored: true, Cause: err}
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "greenroom login", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
