package gateway

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// CodeLife is how long the code of a link counts.
	CodeLife = time.Minute
	// passLife is how long a browser has access without using the session, passRenewal the age
	// from which on a use renews it.
	passLife    = 24 * time.Hour
	passRenewal = time.Hour
	// leeway is how far the clocks of who made a seal and of who checks it may be apart: it counts
	// for so long before it was made and after it ends.
	leeway = 30 * time.Second
)

// kind is what a seal is for.
type kind string

const (
	// A code is in a link, and counts once.
	aCode kind = "code"
	// A pass is a browser's cookie.
	aPass kind = "pass"
)

// seal is a signed statement that its holder is the user of a session's claim. Only the session
// that it is for is not in it: that is in the address, and in the signature.
type seal struct {
	// until is when it stops counting, in whole seconds.
	until time.Time
	// nonce identifies a code; "" for a pass.
	nonce string
	// claim identifies the claim without telling it.
	claim string
}

// counts reports whether a seal is neither over nor from the future.
func (s seal) counts(k kind, now time.Time) bool {
	life := passLife
	if k == aCode {
		life = CodeLife
	}
	return now.Before(s.until.Add(leeway)) && !s.until.After(now.Add(life+leeway))
}

// claimTag returns what of a claim a seal has.
func claimTag(claim string) string {
	sum := sha256.Sum256([]byte("greenroom gateway\x00" + claim))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// newCode returns a fresh code for a claim.
func newCode(claim string, now time.Time) seal {
	return seal{until: now.Add(CodeLife), nonce: strings.ToLower(rand.Text()), claim: claimTag(claim)}
}

// sign returns the seal as text.
func (s seal) sign(keys staging.SigningKeys, k kind, session string, now time.Time) string {
	return s.body() + "." + s.mac(keys.Signing(now), k, session)
}

func (s seal) body() string {
	return strconv.FormatInt(s.until.Unix(), 36) + "." + s.nonce + "." + s.claim
}

func (s seal) mac(key []byte, k kind, session string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(string(k) + "\x00" + session + "\x00" + s.body()))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// maxSeal bounds the length of a seal's text.
const maxSeal = 160

// verify returns the seal that a text is, if it was signed with one of the keys, for this purpose
// and session, and still counts. It compares in constant time.
func verify(keys staging.SigningKeys, k kind, session, text string, now time.Time) (seal, bool) {
	if len(text) > maxSeal {
		return seal{}, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return seal{}, false
	}
	seconds, err := strconv.ParseInt(parts[0], 36, 64)
	if err != nil {
		return seal{}, false
	}
	s := seal{until: time.Unix(seconds, 0), nonce: parts[1], claim: parts[2]}
	signed := slices.ContainsFunc(keys.Accepted(now), func(key []byte) bool {
		return hmac.Equal([]byte(s.mac(key, k, session)), []byte(parts[3]))
	})
	return s, signed && s.counts(k, now)
}
