package hook

import (
	"cmp"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// hidden stands for a value in what a hook wrote.
const hidden = "(hidden)"

// minHidden is how long a value is that is hidden: shorter ones are no secrets,
// and to hide every "1" would leave nothing to read.
const minHidden = 6

// ownPrefix begins the names of greenroom's own variables, which are in every log.
const ownPrefix = "GREENROOM_"

// urlName is the one of them that is not: what a user opens may be signed, or hold a code.
const urlName = ownPrefix + "URL"

// hider takes the values of a hook's environment, and of the launch's, out of what
// the hook wrote: a command that fails often prints what it was given, and its
// output goes into events, conditions and logs.
type hider []string

func newHider(h staging.Hook, in Input) hider {
	var values hider
	add := func(name, value string) {
		if value = strings.TrimSpace(value); len(value) >= minHidden && (name == urlName || !strings.HasPrefix(name, ownPrefix)) {
			values = append(values, value)
		}
	}
	for k, v := range substituted(h, in.Tokens).Environment {
		add(k, v)
	}
	for k, v := range in.Variables {
		add(k, v)
	}
	// The longest first: one may be a part of another.
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return values
}

// hide takes them out of an output. Where only its end was kept, it may begin in the
// middle of one.
func (values hider) hide(out string) string {
	if len(out) >= TailBytes {
		for _, v := range values {
			for i := 1; i <= len(v)-minHidden; i++ {
				if rest, begins := strings.CutPrefix(out, v[i:]); begins {
					out = hidden + rest
					break
				}
			}
		}
	}
	for _, v := range values {
		out = strings.ReplaceAll(out, v, hidden)
	}
	return out
}
