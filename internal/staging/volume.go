package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
)

// VolumeMapping makes a directory of the node visible in a session.
type VolumeMapping struct {
	// Source is the directory on the node, an absolute path. It may have the token {user_id},
	// which only an on-demand session can honour.
	Source string `json:"source"`
	// Target is the directory in the session, an absolute path.
	Target string `json:"target"`
	// ReadOnly: the session may not write to it.
	ReadOnly bool `json:"read_only,omitempty"`
}

// OfUser reports whether the mapping depends on the user.
func (v VolumeMapping) OfUser() bool { return len(tokensIn(v.Source)) > 0 }

// volumeTokens are the tokens of a mapping's source. A user's name is none: names are not
// unique, and whoever could choose one would choose whose directory is mounted.
var volumeTokens = []Token{TokenUserID}

func (p *problems) volumes(field string, mappings []VolumeMapping) {
	targets := map[string]bool{}
	for i, v := range mappings {
		at := fmt.Sprintf("%s[%d]", field, i)
		p.hostPath(at+".source", v.Source)
		if !path.IsAbs(v.Target) || path.Clean(v.Target) == "/" || strings.ContainsAny(v.Target, ":{}") {
			p.add(at+".target", "must be an absolute path in the session, other than / and without colon and braces, is %q", v.Target)
		}
		p.text(at+".target", v.Target)
		if targets[path.Clean(v.Target)] {
			p.add(at+".target", "is mapped twice")
		}
		targets[path.Clean(v.Target)] = true
	}
}

func (p *problems) hostPath(field, value string) {
	if !path.IsAbs(value) || strings.Contains(value, ":") || slices.Contains(strings.Split(value, "/"), "..") {
		p.add(field, "must be an absolute path on the node, without colon and .., is %q", value)
	}
	p.text(field, value)
	p.tokens(field, value, volumeTokens)
}

const (
	// plainID are the bytes of a user's id that stand for themselves in a path.
	plainID = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-"
	// maxElement bounds an element of a path, in bytes. File systems take 255.
	maxElement = 200
)

// pathElement returns a user's id as one element of a path: no id leads to another directory,
// and no two ids lead to one. An id of letters, digits and . _ @ + - that does not begin with
// a dot is itself; every other byte, and a dot at the beginning, becomes %XX. What would be
// too long ends in a digest instead, after a ~, which no other element has.
func pathElement(id string) string {
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; strings.IndexByte(plainID, c) < 0 || c == '.' && i == 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	element := b.String()
	if len(element) > maxElement {
		sum := sha256.Sum256([]byte(id))
		digest := hex.EncodeToString(sum[:])
		element = element[:maxElement-1-len(digest)] + "~" + digest
	}
	return element
}

// of returns the mapping for one user. It returns an *InvalidError about the launch if the
// mapping is of a user and there is no id.
func (v VolumeMapping) of(u User) (VolumeMapping, error) {
	if v.OfUser() && u.ID == "" {
		return v, Invalid("launch", "user.id", "becomes part of the volume mapping %s, so it must not be empty", v.Source)
	}
	v.Source = Substitute(v.Source, map[Token]string{TokenUserID: pathElement(u.ID)})
	return v, nil
}
