package walkthrough

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// NotRun lists commands of a document that are not run, and why. The list is kept beside
// the test, so that the document stays plain text.
type NotRun struct {
	Reason string
	// Commands are written as the document shows them, without a comment at the end. A
	// command on several lines is one line here, joined by spaces.
	Commands []string
}

// leaveOut removes the listed commands from the steps. A step that has no command left is
// removed with its answer. Every entry needs a reason and at least one step that shows it,
// so that the list does not outlive the document.
func leaveOut(steps []Step, notRun []NotRun) ([]Step, error) {
	shown := map[string]bool{} // by listed command: whether the document shows it
	var errs []error
	for _, n := range notRun {
		if strings.TrimSpace(n.Reason) == "" {
			errs = append(errs, fmt.Errorf("no reason is given why these commands are not run: %q", n.Commands))
		}
		for _, c := range n.Commands {
			if _, twice := shown[c]; twice {
				errs = append(errs, fmt.Errorf("listed twice as not run: %q", c))
			}
			shown[c] = false
		}
	}
	var left []Step
	for _, s := range steps {
		kept := commandsOf(s.Commands)
		kept = slices.DeleteFunc(kept, func(text string) bool {
			c := bare(text)
			_, listed := shown[c]
			if listed {
				shown[c] = true
			}
			return listed
		})
		if s.Commands != "" && len(kept) == 0 {
			continue
		}
		s.Commands = strings.Join(kept, "")
		left = append(left, s)
	}
	for _, n := range notRun {
		for _, c := range n.Commands {
			if !shown[c] {
				errs = append(errs, fmt.Errorf("listed as not run, but the document shows no such command: %q", c))
			}
		}
	}
	return left, errors.Join(errs...)
}

// commandsOf splits shell text into commands: a line, and the next one while a line ends
// in a backslash.
func commandsOf(text string) (commands []string) {
	goesOn := false
	for line := range strings.Lines(text) {
		if goesOn {
			commands[len(commands)-1] += line
		} else {
			commands = append(commands, line)
		}
		goesOn = strings.HasSuffix(line, "\\\n")
	}
	return commands
}

var (
	continuation = regexp.MustCompile(`\s*\\\n\s*`)
	comment      = regexp.MustCompile(`\s+#\s.*`)
)

// bare returns a command as NotRun lists it.
func bare(command string) string {
	return strings.TrimSpace(comment.ReplaceAllString(continuation.ReplaceAllString(command, " "), ""))
}
