package hook

import (
	"cmp"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// redacted replaces a value in the output of a hook.
const redacted = "(hidden)"

// minRedacted is the length in bytes from which on a value is redacted. Shorter values
// are no secrets, and redacting every "1" would make the output unreadable.
const minRedacted = 6

// greenroomPrefix is the prefix of greenroom's own variables. Their values are in every
// log, so they are not redacted.
const greenroomPrefix = "GREENROOM_"

// urlVariable is the exception: the URL may be signed or contain a code.
const urlVariable = greenroomPrefix + "URL"

// redactor removes the values of the hook's and the launch's environment from the
// hook's output. A command that fails often prints its environment, and its output is
// copied to events, conditions and logs.
type redactor []string

func newRedactor(h staging.Hook, in Input) redactor {
	var values redactor
	add := func(name, value string) {
		if value = strings.TrimSpace(value); len(value) >= minRedacted && (name == urlVariable || !strings.HasPrefix(name, greenroomPrefix)) {
			values = append(values, value)
		}
	}
	for k, v := range substituted(h, in.Tokens).Environment {
		add(k, v)
	}
	for k, v := range in.Variables {
		add(k, v)
	}
	// Longest first, because one value may be a part of another.
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return values
}

// redact removes the values from an output. If only the end of the output was kept, it
// may start in the middle of a value, which is removed as well.
func (values redactor) redact(out string) string {
	if len(out) >= TailBytes {
		for _, v := range values {
			for i := 1; i <= len(v)-minRedacted; i++ {
				if rest, begins := strings.CutPrefix(out, v[i:]); begins {
					out = redacted + rest
					break
				}
			}
		}
	}
	for _, v := range values {
		out = strings.ReplaceAll(out, v, redacted)
	}
	return out
}
