package nomadfleet

import (
	"strings"
	"testing"
)

func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "\n \n": "", "one": "one", "one\ntwo\r\n\n": "two", "a\n\x1b[31mred\x07 \xff\n": "[31mred ?",
		strings.Repeat("x", 1000): strings.Repeat("x", maxLastLine-3) + "…",
	} {
		if got := lastLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
