package staging

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// VolumeMapping makes a directory of the node visible in a session.
type VolumeMapping struct {
	// Source is the directory on the node, an absolute path. It may have the tokens
	// {username} and {user_id}, which only an on-demand session can honour.
	Source string `json:"source"`
	// Target is the directory in the session, an absolute path.
	Target string `json:"target"`
	// ReadOnly: the session may not write to it.
	ReadOnly bool `json:"read_only,omitempty"`
}

// OfUser reports whether the mapping depends on the user.
func (v VolumeMapping) OfUser() bool { return len(tokensIn(v.Source)) > 0 }

// volumeTokens are the tokens of a mapping's source.
var volumeTokens = []Token{TokenUsername, TokenUserID}

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

// pathSafe matches values that may become part of a path: they cannot lead out of the
// directory and do not contain a separator.
var pathSafe = regexp.MustCompile(`^[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*$`)

// of returns the mapping for one user. It returns an *InvalidError about the launch if the
// user's name or id could lead to another directory.
func (v VolumeMapping) of(u User) (VolumeMapping, error) {
	for token, value := range map[Token]struct{ field, text string }{
		TokenUsername: {"user.name", u.Name}, TokenUserID: {"user.id", u.ID},
	} {
		if slices.Contains(tokensIn(v.Source), string(token)) && !pathSafe.MatchString(value.text) {
			return v, Invalid("launch", value.field,
				"becomes part of the volume mapping %s, so it must be letters, digits and . _ @ + - and not begin with a dot, is %q", v.Source, value.text)
		}
	}
	v.Source = Substitute(v.Source, map[Token]string{TokenUsername: u.Name, TokenUserID: u.ID})
	return v, nil
}
