package staging

import (
	"strings"
	"testing"
)

// TestAKillTimeoutBeyondNomadsDefaultIsRemarked.
func TestAKillTimeoutBeyondNomadsDefaultIsRemarked(t *testing.T) {
	for jobspec, want := range map[string]int{
		"task \"a\" {\n  kill_timeout = \"30s\"\n}":                                    0,
		"task \"a\" {\n  kill_timeout = \"2m\"\n}":                                     1,
		"task \"a\" {\n  kill_timeout=\"31s\"\n}\ntask \"b\" {\nkill_timeout = \"1h\"": 2,
		"task \"a\" {\n  # kill_timeout = \"2m\"\n}":                                   0,
		"task \"a\" {\n  kill_timeout = \"${var.kill}\"\n}":                            0,
		"task \"a\" {\n  kill_timeout = \"soon\"\n}":                                   0,
	} {
		got := Image{Name: "i", Jobspec: jobspec}.Remarks()
		if len(got) != want || want > 0 && !strings.Contains(got[0], "max_kill_timeout, 30s by default") {
			t.Errorf("%s: %q", jobspec, got)
		}
	}
}
