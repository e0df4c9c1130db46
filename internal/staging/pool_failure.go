package staging

import (
	"strings"
	"time"
)

// PoolFailure is the session of a pool that failed last before anybody had it, with its last
// words.
type PoolFailure struct {
	Session string    `json:"session"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	// Node is the id of the node that it was on; "" for none.
	Node string `json:"node,omitempty"`
	// Task is the one that failed; "" where that is not known.
	Task string `json:"task,omitempty"`
	// Stderr are the last lines that the task wrote to its standard error, and TaskEvents what
	// Nomad noted of the tasks, the oldest first.
	Stderr     []string `json:"stderr,omitempty"`
	TaskEvents []string `json:"task_events,omitempty"`
}

// maxWords bounds the last words in a sentence, in bytes.
const maxWords = 600

// Said says on one line what the program wrote last; "" if it is not known to have written
// anything. of names the session; "" does not.
func Said(stderr []string, of string) string {
	if len(stderr) == 0 {
		return ""
	}
	which := "line"
	if len(stderr) > 1 {
		which = "lines"
	}
	text := strings.Join(stderr, " | ")
	if over := len(text) - maxWords; over > 0 {
		text = "…" + strings.ToValidUTF8(text[over:], "")
	}
	if of == "" {
		return "the last " + which + " of its stderr: " + text
	}
	return "the last " + which + " of stderr of session " + of + ": " + text
}
