package access

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/greenroom/greenroom/internal/staging"
)

// Token is a stored bearer token: everything except its secret.
type Token struct {
	// Accessor identifies the token. It is not secret and grants nothing.
	Accessor string `json:"accessor"`
	// Name says what the token is for.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Hash is the SHA-256 of the secret, in hex. The secret has 256 random bits, so a
	// slower hash would not make it harder to find.
	Hash      string    `json:"hash"`
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when the token expires; the zero time is never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Rate is the limit in launches per second at each broker; 0 is no limit.
	Rate float64 `json:"rate,omitempty"`
	// Scope is what the token reaches; the zero value is everything.
	Scope Scope `json:"scope,omitzero"`
	// RotatedAt is when the secret of Hash replaced the one before; zero for never.
	RotatedAt time.Time `json:"rotated_at,omitzero"`
	// Previous are the secrets of before, which work for a while longer, the newest last.
	Previous []PreviousSecret `json:"previous,omitempty"`
}

// PreviousSecret is a secret that was replaced and works until a time.
type PreviousSecret struct {
	Hash  string    `json:"hash"`
	Until time.Time `json:"until"`
}

// Bounds of a token.
const (
	MaxTokenName = 128
	// MaxRate is more than a broker can serve.
	MaxRate = 100000
	// MinRate is one launch an hour.
	MinRate = 1.0 / 3600
)

// TokenRequest is a request to create a token.
type TokenRequest struct {
	Name string
	Role Role
	// ExpiresIn is the token's lifetime; 0 is unlimited.
	ExpiresIn staging.Duration
	// Rate is the limit in launches per second; 0 is no limit.
	Rate float64
	// Scope is what the token reaches; the zero value is everything.
	Scope Scope
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
	case !printable(r.Name):
		add("name", "must be printable text")
	}
	if _, err := ParseRole(string(r.Role)); err != nil {
		add("role", "%v", err)
	}
	if r.ExpiresIn < 0 {
		add("expires_in", "must be more than 0, or left out for a token that does not expire, is %s", r.ExpiresIn.Brief())
	}
	if r.Rate != 0 && !(r.Rate >= MinRate && r.Rate <= MaxRate) || math.IsNaN(r.Rate) {
		add("rate", "must be between one an hour (%.6f) and %d launches per second, or left out for no limit, is %v", MinRate, MaxRate, r.Rate)
	}
	r.Scope.validate(add)
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// secretPrefix identifies a secret as greenroom's, for people and for secret scanners.
const secretPrefix = "grt_"

// secretPattern matches a token's secret or a JWT in a text.
var secretPattern = regexp.MustCompile(secretPrefix + `[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// Hide replaces tokens in a text that a caller controls, such as a path, before it is
// logged. Some callers send a token instead of its accessor, or put it into a URL.
func Hide(text string) string {
	// Most texts contain none, and this check is faster than the pattern.
	if !strings.Contains(text, secretPrefix) && !strings.Contains(text, "eyJ") {
		return text
	}
	return secretPattern.ReplaceAllString(text, "(hidden)")
}

// NewToken creates a token at the time now, and returns its secret, which is not stored and
// cannot be recovered.
func NewToken(r TokenRequest, now time.Time) (t Token, secret string) {
	secret = newSecret()
	random := make([]byte, 10)
	_, _ = rand.Read(random) // never fails, as crypto/rand documents
	t = Token{
		Accessor: "tk-" + hex.EncodeToString(random), Name: r.Name, Role: r.Role, Hash: Hash(secret),
		CreatedAt: now.UTC().Truncate(time.Millisecond), Rate: r.Rate, Scope: r.Scope,
	}
	if r.ExpiresIn > 0 {
		t.ExpiresAt = t.CreatedAt.Add(r.ExpiresIn.Std())
	}
	return t, secret
}

func newSecret() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails, as crypto/rand documents
	return secretPrefix + base64.RawURLEncoding.EncodeToString(random)
}

// Hash returns the hash of a secret that is stored.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Expired reports whether the token has expired at the time now.
func (t Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// Caller returns the caller that authenticates with the token.
func (t Token) Caller() Caller {
	return Caller{Role: t.Role, Accessor: t.Accessor, Name: t.Name, Rate: t.Rate, Scope: t.Scope, ExpiresAt: t.ExpiresAt}
}

// Tokens is an immutable snapshot of all stored tokens.
type Tokens struct {
	// byHash has the tokens by the hashes of all their secrets. A token that is found by a
	// secret of before expires when that secret does.
	byHash map[string]Token
	all    []Token
	// Index is Consul's index of the snapshot.
	Index uint64
	// Unreadable has the keys of records that cannot be parsed, and the reason for each.
	Unreadable map[string]string
}

// NewTokens returns a snapshot. It keeps all, and sorts it.
func NewTokens(all []Token, index uint64, unreadable map[string]string) *Tokens {
	t := &Tokens{byHash: make(map[string]Token, len(all)), all: all, Index: index, Unreadable: unreadable}
	slices.SortFunc(all, func(a, b Token) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.Accessor, b.Accessor))
	})
	for _, token := range all {
		t.byHash[token.Hash] = token
		for _, p := range token.Previous {
			old := token
			old.ExpiresAt = p.Until
			t.byHash[p.Hash] = old
		}
	}
	return t
}

// Find returns the token with a secret. It looks up the secret's hash, so its duration
// reveals nothing about other secrets.
func (t *Tokens) Find(secret string) (Token, bool) {
	found, ok := t.byHash[Hash(secret)]
	return found, ok
}

// All returns all tokens, oldest first. The caller must not change the list.
func (t *Tokens) All() []Token { return t.all }
