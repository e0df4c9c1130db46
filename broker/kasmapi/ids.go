package kasmapi

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/greenroom/greenroom/internal/staging"
)

// Ids are UUIDs here, and made from greenroom's own, so that nothing has to be stored:
//
//   - A session's id is a ULID, whose 128 bits are the UUID.
//   - Of a zone, an image, a staging config or a user the UUID holds the name itself, if the name
//     has few characters of a small alphabet. Else it holds a digest, and is found by looking
//     through the names. Both are of version 8, which RFC 9562 leaves to whoever makes them.
//   - A user whose id is a UUID of another version keeps it, and any such UUID is a user's id: that
//     is how users come here whom another system has made.

// uuid is an id of this API.
type uuid [16]byte

// String returns the id as it is in answers: in lower case, with dashes.
func (u uuid) String() string {
	h := hex.EncodeToString(u[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// version returns the version that RFC 9562 has in an id.
func (u uuid) version() int { return int(u[6] >> 4) }

// parseUUID parses an id with dashes or without, in any case.
func parseUUID(text string) (u uuid, ok bool) {
	plain := text
	if len(text) == 36 {
		for _, at := range []int{8, 13, 18, 23} {
			if text[at] != '-' {
				return u, false
			}
		}
		plain = strings.ReplaceAll(text, "-", "")
	}
	if len(plain) != 2*len(u) {
		return u, false
	}
	_, err := hex.Decode(u[:], []byte(plain))
	return u, err == nil
}

// sessionID returns a session's id here. ok is false for an id that greenroom does not make.
func sessionID(session string) (u uuid, ok bool) {
	text, ok := strings.CutPrefix(session, staging.SessionPrefix)
	if !ok || strings.ToLower(text) != text {
		return u, false
	}
	id, err := ulid.ParseStrict(strings.ToUpper(text))
	return uuid(id), err == nil
}

// session returns the id of the session that an id here means.
func (u uuid) session() string { return staging.SessionPrefix + strings.ToLower(ulid.ULID(u).String()) }

// kind is what an id that is made from a name is of.
type kind uint

const (
	imageKind kind = iota
	zoneKind
	configKind
	userKind
)

// String returns the kind in words.
func (k kind) String() string { return [...]string{"image", "zone", "staging config", "user"}[k] }

// The 122 bits of an id that are not its version and variant are, from the highest: the kind (2),
// whether the rest is a digest (1), one that is 0, and the name or its digest.
const (
	restBits   = 118
	digestBit  = restBits + 1
	kindShift  = digestBit + 1
	lowBits    = 62
	middleBits = 12
)

// alphabet are the characters of the names that an id can hold. maxHeld is how many of them fit:
// 40 to the power of 22 is a little less than 2 to the power of 118.
const (
	alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-._@"
	maxHeld  = 22
)

// id returns the id of a name.
func (k kind) id(name string) uuid {
	bits, held := held(name)
	if !held {
		sum := sha256.Sum256([]byte(k.String() + ":" + name))
		bits = new(big.Int).SetBytes(sum[:])
		bits.Rsh(bits, uint(8*len(sum)-restBits))
		bits.SetBit(bits, digestBit, 1)
	}
	bits.Or(bits, new(big.Int).Lsh(big.NewInt(int64(k)), kindShift))
	low := new(big.Int).And(bits, ones(lowBits))
	middle := new(big.Int).And(new(big.Int).Rsh(bits, lowBits), ones(middleBits))
	all := new(big.Int).Lsh(new(big.Int).Rsh(bits, lowBits+middleBits), 80)
	all.Or(all, new(big.Int).Lsh(middle.Or(middle, big.NewInt(8<<middleBits)), 64))
	all.Or(all, low.Or(low, new(big.Int).Lsh(big.NewInt(2), lowBits)))
	var u uuid
	all.FillBytes(u[:])
	return u
}

// nameIn returns the name that an id holds. known is false if it holds a digest; ours is false if
// it is no id of this kind.
func (k kind) nameIn(u uuid) (name string, known, ours bool) {
	all := new(big.Int).SetBytes(u[:])
	low := new(big.Int).And(all, ones(lowBits))
	middle := new(big.Int).And(new(big.Int).Rsh(all, 64), ones(middleBits))
	bits := new(big.Int).Lsh(new(big.Int).Rsh(all, 80), lowBits+middleBits)
	bits.Or(bits, middle.Lsh(middle, lowBits)).Or(bits, low)
	digest := bits.Bit(digestBit) == 1
	if u.version() != 8 || u[8]>>6 != 2 || new(big.Int).Rsh(bits, kindShift).Cmp(big.NewInt(int64(k))) != 0 {
		return "", false, false
	}
	if digest {
		return "", false, true
	}
	name, ok := nameOf(bits.And(bits, ones(digestBit)))
	return name, ok, ok
}

// ones returns the number of n bits that are all 1.
func ones(n uint) *big.Int {
	one := big.NewInt(1)
	return new(big.Int).Sub(new(big.Int).Lsh(one, n), one)
}

// held returns a name as a number, in which the first character is worth most. Digits begin at 1,
// so that no two names are the same number. ok is false if an id cannot hold the name.
func held(name string) (n *big.Int, ok bool) {
	n = new(big.Int)
	if name == "" || len(name) > maxHeld {
		return n, false
	}
	for i := range len(name) {
		at := strings.IndexByte(alphabet, name[i])
		if at < 0 {
			return n, false
		}
		n.Mul(n, big.NewInt(int64(len(alphabet)))).Add(n, big.NewInt(int64(at+1)))
	}
	return n, true
}

// nameOf returns the name that is a number.
func nameOf(n *big.Int) (name string, ok bool) {
	var reversed []byte
	n, one, base, digit := new(big.Int).Set(n), big.NewInt(1), big.NewInt(int64(len(alphabet))), new(big.Int)
	for n.Sign() > 0 && len(reversed) <= maxHeld {
		n.DivMod(n.Sub(n, one), base, digit)
		reversed = append(reversed, alphabet[digit.Int64()])
	}
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return string(reversed), len(reversed) > 0 && len(reversed) <= maxHeld
}

// userID returns the id of a user here.
func userID(user string) uuid {
	if u, ok := parseUUID(user); ok && u.version() != 8 && u.String() == user {
		return u
	}
	return userKind.id(user)
}

// userIn returns the user that an id means. known is false if the id holds a digest, so that the
// user has to be looked for; ours is false if it is nobody's.
func userIn(u uuid) (user string, known, ours bool) {
	if u.version() != 8 {
		return u.String(), true, true
	}
	return userKind.nameIn(u)
}
