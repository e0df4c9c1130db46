package staging

import (
	"strings"
	"testing"
)

// FuzzSubstitute: a text's own tokens are replaced once. Tokens in values are data, and
// nothing else of the text changes.
func FuzzSubstitute(f *testing.F) {
	f.Add("{username} at {zone}", "{zone}", "east")
	f.Add("${username}{{username}}{username}", "a{{b}}$", "{")
	f.Add("{{{username}}}", "{username}", "")
	f.Add("{nobody}{", "}", "x")
	f.Fuzz(func(t *testing.T, text, user, zone string) {
		got := Substitute(text, map[Token]string{TokenUsername: user, TokenZone: zone})
		if want := plainly(text, map[string]string{"username": user, "zone": zone}); got != want {
			t.Errorf("%q with %q and %q came to %q, want %q", text, user, zone, got, want)
		}
	})
}

// plainly is Substitute without a regular expression: at each place it takes the first of
// "${...}", "{{name}}" and "{name}" that matches.
func plainly(text string, values map[string]string) string {
	var out strings.Builder
	for text != "" {
		if strings.HasPrefix(text, "${") {
			if end := strings.IndexByte(text, '}'); end >= 0 {
				out.WriteString(text[:end+1])
				text = text[end+1:]
				continue
			}
		}
		if name, rest, ok := braced(text, "{{", "}}"); ok {
			out.WriteString("{" + name + "}")
			text = rest
			continue
		}
		if name, rest, ok := braced(text, "{", "}"); ok {
			if v, known := values[name]; known {
				out.WriteString(v)
			} else {
				out.WriteString("{" + name + "}")
			}
			text = rest
			continue
		}
		out.WriteByte(text[0])
		text = text[1:]
	}
	return out.String()
}

func braced(text, open, end string) (name, rest string, ok bool) {
	inner, found := strings.CutPrefix(text, open)
	if !found {
		return "", "", false
	}
	n := 0
	for n < len(inner) && (inner[n] >= 'a' && inner[n] <= 'z' || n > 0 && (inner[n] >= '0' && inner[n] <= '9' || inner[n] == '_')) {
		n++
	}
	if rest, found = strings.CutPrefix(inner[n:], end); n == 0 || !found {
		return "", "", false
	}
	return inner[:n], rest, true
}
