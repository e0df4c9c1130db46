package nomadfleet

import (
	"errors"
	"strings"
	"testing"
)

// TestARuntimesRefusalIsNoOutput: Docker writes it in place of a command that it could not start,
// in one piece or in several. A command's own output passes as it comes.
func TestARuntimesRefusalIsNoOutput(t *testing.T) {
	const refusal = "OCI runtime exec failed: exec failed: unable to start container process: exec: "
	for name, c := range map[string]struct {
		code   int
		pieces []string
		why    error
		// early is what is passed on before the command has ended.
		early string
	}{
		"no such program":       {126, []string{refusal + "\"nonesuch\": executable file not found in $PATH: unknown\r\n"}, ErrNoCommand, ""},
		"of a newer Docker":     {127, []string{"OCI run", "time exec failed: exec failed: ", "exec: \"/none\": stat /none: no such file or directory: unknown"}, ErrNoCommand, ""},
		"may not be executed":   {126, []string{refusal + "\"/etc/passwd\": permission denied: unknown"}, ErrNotExecutable, ""},
		"a shell's own 127":     {127, []string{"sh: nonesuch: not found\n"}, nil, "sh: nonesuch: not found\n"},
		"a program that quotes": {0, []string{refusal + "\"x\": executable file not found"}, nil, ""},
		"a prompt":              {0, []string{"O", "K> "}, nil, "OK> "},
		"too much":              {126, []string{runtimeRefusal, strings.Repeat("x", maxRuntimeRefusal)}, nil, runtimeRefusal + strings.Repeat("x", maxRuntimeRefusal)},
		"nothing":               {126, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			o := &heldOutput{to: &out}
			for _, p := range c.pieces {
				if n, err := o.Write([]byte(p)); n != len(p) || err != nil {
					t.Errorf("wrote %d of %d, %v", n, len(p), err)
				}
			}
			if out.String() != c.early {
				t.Errorf("passed on %q, want %q", out.String(), c.early)
			}
			why := refusedByRuntime(c.code, &heldOutput{to: &out}, o)
			if !errors.Is(why, c.why) || (why == nil) != (c.why == nil) {
				t.Errorf("%v, want %v", why, c.why)
			}
			if why != nil {
				return
			}
			if err := o.pass(); err != nil || out.String() != strings.Join(c.pieces, "") {
				t.Errorf("%v; in the end %q", err, out.String())
			}
		})
	}
}
