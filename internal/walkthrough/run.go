package walkthrough

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Reader is where and how a document's steps are done.
type Reader struct {
	// Dir is the directory that the reader is in.
	Dir string
	// Env is the whole environment.
	Env []string
	// Replace are pairs of a text that the reader is to replace, and by what; each must
	// occur in a step.
	Replace []string
}

// Do does a document's steps and gives what was printed, to look at when it fails. It
// stops at the first command that fails. The shell is killed when ctx ends.
func (r Reader) Do(ctx context.Context, steps []Step) (transcript string, err error) {
	answers, err := os.MkdirTemp("", "walkthrough-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(answers)
	replaced, err := r.replaced(steps)
	if err != nil {
		return "", err
	}
	var script strings.Builder
	// A reader's shell goes on after a failure; a test must not.
	script.WriteString("set -euo pipefail\n")
	for i, s := range replaced {
		switch {
		case s.LeftOut != "":
		case s.File != "":
			// Written in its turn: commands before it may look whether it is there.
			fmt.Fprintf(&script, "mkdir -p %q && cp %q %q\n", filepath.Dir(s.File), filepath.Join(answers, fmt.Sprint(i)), s.File)
			if err := os.WriteFile(filepath.Join(answers, fmt.Sprint(i)), []byte(s.Text), 0o600); err != nil {
				return "", err
			}
		default:
			// The last one that is named before an error is the one that failed.
			answer := filepath.Join(answers, fmt.Sprint(i))
			fmt.Fprintf(&script, "echo '--- line %d' >&2\n{\n%s} > %q\ncat %q >&2\n", s.Line, s.Commands, answer, answer)
		}
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.Env = r.Dir, r.Env
	// What a command left running does not keep the output open for ever.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("a command failed, after the last line that the transcript names: %w", err)
	}
	for i, s := range steps {
		if s.Answer == "" || s.LeftOut != "" {
			continue
		}
		got, err := os.ReadFile(filepath.Join(answers, fmt.Sprint(i)))
		if err != nil {
			return string(out), err
		}
		if err := Compare(s.Answer, string(got)); err != nil {
			return string(out), fmt.Errorf("line %d: %w", s.Line, err)
		}
	}
	return string(out), nil
}

func (r Reader) replaced(steps []Step) ([]Step, error) {
	all := slices.Clone(steps)
	for i := 0; i+1 < len(r.Replace); i += 2 {
		found := false
		for j := range all {
			for _, t := range []*string{&all[j].Commands, &all[j].Text} {
				found = found || strings.Contains(*t, r.Replace[i])
				*t = strings.ReplaceAll(*t, r.Replace[i], r.Replace[i+1])
			}
		}
		if !found {
			return nil, fmt.Errorf("the document no longer has %q", r.Replace[i])
		}
	}
	return all, nil
}

// telling are the fields whose values a document must show as they are.
var telling = []string{"state", "origin", "step", "outcome", "zone", "image", "code", "status", "reason", "well"}

// Compare says where an answer is not like the one that a document shows: it has every
// field that is shown, of that type, and the same value in the fields that tell how
// things stand. A list has an element like each that is shown.
func Compare(shown, got string) error {
	var a, b any
	if err := json.Unmarshal([]byte(shown), &a); err != nil {
		return fmt.Errorf("what the document shows is no JSON: %w", err)
	}
	if err := json.Unmarshal([]byte(got), &b); err != nil {
		return fmt.Errorf("the answer is no JSON: %w\n%s", err, got)
	}
	if err := compare("", a, b); err != nil {
		return fmt.Errorf("%w\nthe answer was %s", err, got)
	}
	return nil
}

func compare(at string, shown, got any) error {
	switch shown := shown.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%q is no object", at)
		}
		for name, value := range shown {
			there, ok := m[name]
			if !ok {
				return fmt.Errorf("%q has no %q", at, name)
			}
			if err := compare(at+"."+name, value, there); err != nil {
				return err
			}
			if _, isText := value.(string); (isText || name == "well") && slices.Contains(telling, name) && value != there {
				return fmt.Errorf("%q is %v, where the document has %v", at+"."+name, there, value)
			}
		}
	case []any:
		l, ok := got.([]any)
		if !ok {
			return fmt.Errorf("%q is no list", at)
		}
		for i, value := range shown {
			like := func(there any) bool { return compare(at, value, there) == nil }
			if !slices.ContainsFunc(l, like) {
				return fmt.Errorf("%q has nothing like its element %d", at, i)
			}
		}
	default:
		if fmt.Sprintf("%T", shown) != fmt.Sprintf("%T", got) {
			return fmt.Errorf("%q is %v, where the document has %v", at, got, shown)
		}
	}
	return nil
}
