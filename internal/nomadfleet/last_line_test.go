package nomadfleet

import (
	"slices"
	"strings"
	"testing"
)

func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "\n \n": "", "one": "one", "one\ntwo\r\n\n": "two", "a\n\x1b[31mred\x07 \xff\n": "[31mred ?",
		strings.Repeat("x", 1000): strings.Repeat("x", maxLastLine-3) + "…",
	} {
		if got := strings.Join(tailLines(text, 1), "\n"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := tailLines("a\n\nb\nc\n", 2); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("the last two lines are %q", got)
	}
}
