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

// Reader says where and how a document's steps are run.
type Reader struct {
	// Dir is the working directory.
	Dir string
	// Env is the whole environment.
	Env []string
	// Replace has pairs: a text that the document asks its reader to replace, and the
	// replacement. Each text must occur in a step.
	Replace []string
}

// Do runs a document's steps and returns their output, for the log of a test that fails.
// It stops at the first command that fails. When ctx ends, it kills the shell.
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
		case s.File != "":
			// Written in its turn: commands before it may check that it is missing.
			fmt.Fprintf(&script, "mkdir -p %q && cp %q %q\n", filepath.Dir(s.File), filepath.Join(answers, fmt.Sprint(i)), s.File)
			if err := os.WriteFile(filepath.Join(answers, fmt.Sprint(i)), []byte(s.Text), 0o600); err != nil {
				return "", err
			}
		default:
			// The last line that the transcript names is the one that failed.
			answer := filepath.Join(answers, fmt.Sprint(i))
			fmt.Fprintf(&script, "echo '--- line %d' >&2\n{\n%s} > %q\ncat %q >&2\n", s.Line, s.Commands, answer, answer)
		}
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.Env = r.Dir, r.Env
	// A process that a command left running must not keep the output open.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("a command failed: it begins at the last line that the transcript names: %w", err)
	}
	for i, s := range steps {
		if s.Answer == "" {
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

// exact are the fields whose values must be those that the document shows.
var exact = []string{"state", "origin", "step", "outcome", "zone", "image", "code", "status", "reason", "well"}

// Compare returns an error that names the first difference between the answer that a
// document shows and the one that a command printed. The printed one must have every shown
// field with the same type, and the same value in the fields that describe a state or an
// outcome. A list must have an element like each one that is shown. Extra fields and
// elements are no difference.
func Compare(shown, got string) error {
	var a, b any
	if err := json.Unmarshal([]byte(shown), &a); err != nil {
		return fmt.Errorf("the document's answer is no JSON: %w", err)
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
			if _, isText := value.(string); (isText || name == "well") && slices.Contains(exact, name) && value != there {
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
