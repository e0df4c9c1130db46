package staging

import (
	"regexp"
	"slices"
)

// Token is a name in braces that stands for a value of the launch, in a hook's arguments
// and environment, a volume mapping's source or an image's connect_url.
type Token string

// The tokens.
const (
	TokenUsername  Token = "username"
	TokenUserID    Token = "user_id"
	TokenSessionID Token = "session_id"
	TokenImage     Token = "image"
	TokenZone      Token = "zone"
	TokenURL       Token = "url"
	// TokenAddress and TokenAccess are the session's host and access token. Only a
	// connect_url may have them, and the session's ports as {port_LABEL}.
	TokenAddress Token = "address"
	TokenAccess  Token = "token"
)

// tokenPattern matches {name}. "${name}" is not a token but a variable of a shell or of
// Nomad. "{{name}}" stands for the text "{name}".
var tokenPattern = regexp.MustCompile(`\$\{[^}]*\}|\{\{[a-z][a-z0-9_]*\}\}|\{[a-z][a-z0-9_]*\}`)

// tokensIn returns the names of a text's tokens, in order.
func tokensIn(text string) []string {
	var found []string
	for _, m := range tokenPattern.FindAllString(text, -1) {
		if m[0] == '{' && m[1] != '{' {
			found = append(found, m[1:len(m)-1])
		}
	}
	return found
}

// Substitute replaces the tokens of a text by their values. It does not replace tokens
// that a value contains. A token without a value stays.
func Substitute(text string, values map[Token]string) string {
	return tokenPattern.ReplaceAllStringFunc(text, func(m string) string {
		switch {
		case m[0] == '$':
			return m
		case m[1] == '{':
			return m[1 : len(m)-1]
		}
		if v, ok := values[Token(m[1:len(m)-1])]; ok {
			return v
		}
		return m
	})
}

// tokens refuses tokens that are not in known.
func (p *problems) tokens(field, text string, known []Token) {
	for _, t := range tokensIn(text) {
		if !slices.Contains(known, Token(t)) {
			p.add(field, "holds the unknown token {%s}; known here are {%s}; write {{%s}} for the text itself", t, joinedBraces(known), t)
		}
	}
}

func joinedBraces(known []Token) string {
	s := ""
	for i, t := range known {
		if i > 0 {
			s += "}, {"
		}
		s += string(t)
	}
	return s
}
