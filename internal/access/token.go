package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/greenroom/greenroom/internal/staging"
)

// Token is what is stored of a bearer token: everything but its secret.
type Token struct {
	// Accessor names it: it can be told, and opens nothing.
	Accessor string `json:"accessor"`
	// Name says what it is for.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Hash is the SHA-256 of the secret, in hex. The secret is random and 256 bits
	// long, so that no slower hash would make it harder to find.
	Hash      string    `json:"hash"`
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when it stops working; zero is never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Rate bounds its launches a second at each broker; 0 is no bound.
	Rate float64 `json:"rate,omitempty"`
}

// Bounds of a token.
const (
	MaxTokenName = 128
	// MaxRate is more than a broker serves.
	MaxRate = 100000
	// MinRate is one launch an hour.
	MinRate = 1.0 / 3600
)

// TokenRequest is a wish for a token.
type TokenRequest struct {
	Name string
	Role Role
	// ExpiresIn is how long it works; 0 is for ever.
	ExpiresIn staging.Duration
	// Rate bounds its launches a second; 0 is no bound.
	Rate float64
}

// Validate returns an *staging.InvalidError, or nil.
func (r TokenRequest) Validate() error {
	invalid := &staging.InvalidError{What: "token"}
	add := func(field, format string, args ...any) {
		invalid.Fields = append(invalid.Fields, staging.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case strings.TrimSpace(r.Name) == "":
		add("name", "must say what the token is for")
	case len(r.Name) > MaxTokenName:
		add("name", "must be at most %d bytes, is %d", MaxTokenName, len(r.Name))
	case !utf8.ValidString(r.Name) || strings.ContainsFunc(r.Name, func(c rune) bool { return !unicode.IsPrint(c) }):
		add("name", "must be printable text")
	}
	if _, err := ParseRole(string(r.Role)); err != nil {
		add("role", "%v", err)
	}
	if r.ExpiresIn < 0 {
		add("expires_in", "must be more than 0, or left out for a token that does not expire")
	}
	if r.Rate != 0 && !(r.Rate >= MinRate && r.Rate <= MaxRate) || math.IsNaN(r.Rate) {
		add("rate", "must be between one an hour (%.6f) and %d launches a second, or left out for no bound", MinRate, MaxRate)
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

// secretPrefix lets people, and those who search for leaked secrets, see what it is.
const secretPrefix = "grt_"

// shownSecret is what a token's secret looks like in a text, and a JWT.
var shownSecret = regexp.MustCompile(secretPrefix + `[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// Hide takes tokens out of a text that callers had a hand in, such as a path, before
// it is written anywhere: some take a token for its accessor, or put it into a URL.
func Hide(text string) string {
	// Most texts have none, and the pattern is slow to find that out.
	if !strings.Contains(text, secretPrefix) && !strings.Contains(text, "eyJ") {
		return text
	}
	return shownSecret.ReplaceAllString(text, "(hidden)")
}

// NewToken makes a token at a time, and the secret that opens it, which nobody
// can find again.
func NewToken(r TokenRequest, now time.Time) (t Token, secret string) {
	random := make([]byte, 32+10)
	_, _ = rand.Read(random) // never fails: crypto/rand's own word
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(random[:32])
	t = Token{
		Accessor: "tk-" + hex.EncodeToString(random[32:]), Name: r.Name, Role: r.Role, Hash: Hash(secret),
		CreatedAt: now.UTC().Truncate(time.Millisecond), Rate: r.Rate,
	}
	if r.ExpiresIn > 0 {
		t.ExpiresAt = t.CreatedAt.Add(r.ExpiresIn.Std())
	}
	return t, secret
}

// Hash is what is stored of a secret.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Expired reports whether it has stopped working.
func (t Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// Caller is who shows it.
func (t Token) Caller() Caller {
	return Caller{Role: t.Role, Accessor: t.Accessor, Name: t.Name, Rate: t.Rate}
}

// Tokens is a copy of all that are stored, as of one moment. It does not change.
type Tokens struct {
	byHash map[string]Token
	// Index is Consul's index of the moment.
	Index uint64
	// Unreadable are the keys of those that do not parse, and why.
	Unreadable map[string]string
}

// NewTokens makes a copy.
func NewTokens(all []Token, index uint64, unreadable map[string]string) *Tokens {
	t := &Tokens{byHash: make(map[string]Token, len(all)), Index: index, Unreadable: unreadable}
	for _, token := range all {
		t.byHash[token.Hash] = token
	}
	return t
}

// Find gives the token that a secret opens. The secret is looked up by its hash:
// how long that takes tells nothing of other secrets.
func (t *Tokens) Find(secret string) (Token, bool) {
	found, ok := t.byHash[Hash(secret)]
	return found, ok
}

// All lists them, oldest first.
func (t *Tokens) All() []Token {
	return slices.SortedFunc(maps.Values(t.byHash), func(a, b Token) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Accessor, b.Accessor)
	})
}
