package kasmapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
)

// startDetached starts a command that outlives its call: it refuses a program that is not there, and
// starts the others without input and output.
const startDetached = `command -v "$1" >/dev/null 2>&1 || { echo "there is no program $1 in the session" >&2; exit 127; }
"$@" </dev/null >/dev/null 2>&1 &`

// commanded is the answer to exec_command_kasm.
type commanded struct {
	CurrentTime any  `json:"current_time"`
	Kasm        kasm `json:"kasm"`
}

// execCommandKasm starts a command in a session, and does not wait for its end.
func execCommandKasm(c *call, f *fields) (any, error) {
	t, config := targetIn(f), f.object("exec_config")
	line := config.text("cmd")
	command := httpapi.Command{Environment: config.texts("environment"), Workdir: config.text("workdir"), User: config.text("user")}
	words, err := split(line)
	if err != nil {
		config.fail("cmd", "%v", err)
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	command.Cmd = append([]string{"/bin/sh", "-c", startDetached, "sh"}, words...)
	s, k, err := c.session(t)
	if err != nil {
		return nil, err
	}
	return commanded{at(time.Now()), k}, c.do(http.MethodPost, "/v1/sessions/"+s.ID+"/exec", command, nil)
}

var (
	errNoCommand = errors.New("must be a command")
	errUnclosed  = errors.New("has a quote that is not closed, or a backslash at its end")
)

// split splits a command line into words as a POSIX shell does, with its quotes and backslashes, and
// without anything else of a shell: a variable or a semicolon is text.
func split(line string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		// within is the open quote, 0 for none; begun whether there is a word, which may be empty.
		within  rune
		begun   bool
		escaped bool
	)
	for _, c := range line {
		switch {
		case escaped:
			if within == '"' && !strings.ContainsRune("\"\\$`", c) {
				word.WriteByte('\\')
			}
			word.WriteRune(c)
			escaped = false
		case c == '\\' && within != '\'':
			escaped, begun = true, true
		case within != 0 && c == within:
			within = 0
		case within != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			within, begun = c, true
		case strings.ContainsRune(" \t\r\n", c):
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if within != 0 || escaped {
		return nil, errUnclosed
	}
	if begun {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errNoCommand
	}
	return words, nil
}
