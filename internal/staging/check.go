package staging

import (
	"fmt"
	"strings"
)

// FailingCheck is a check of a session's own that does not pass; zero for none.
type FailingCheck struct {
	// Name is the one in the jobspec.
	Name string `json:"name"`
	// Output is what Consul last had of it, on one line of at most maxCheckOutput bytes; ""
	// while Consul has no result.
	Output string `json:"output,omitempty"`
}

// maxCheckOutput bounds an output: an HTTP check's has the body of the answer.
const maxCheckOutput = 300

// NewFailingCheck returns a check with its output on one line, shortened.
func NewFailingCheck(name, output string) FailingCheck {
	output = strings.Join(strings.Fields(strings.ToValidUTF8(output, "?")), " ")
	if len(output) > maxCheckOutput {
		output = strings.ToValidUTF8(output[:maxCheckOutput-len("…")], "") + "…"
	}
	return FailingCheck{Name: name, Output: output}
}

// String returns, for example,
// `check "port answers" fails: dial tcp 127.0.0.1:23456: connect: connection refused`; "" for none.
func (c FailingCheck) String() string { return c.of("") }

// Of is String with the session and, where that is known, the node that it is about.
func (c FailingCheck) Of(session, node string) string {
	where := " of session " + session
	if node != "" {
		where += " on node " + node
	}
	return c.of(where)
}

func (c FailingCheck) of(where string) string {
	// A name may have quotes, as Nomad's own for checks of sessions that greenroom made before it
	// named them: service: "greenroom-pool-NAME" check
	name := strings.ReplaceAll(c.Name, `"`, "'")
	switch {
	case c == FailingCheck{}:
		return ""
	case c.Output == "":
		return fmt.Sprintf("check %q%s fails, and Consul has no output of it", name, where)
	}
	return fmt.Sprintf("check %q%s fails: %s", name, where, c.Output)
}
