package nomadfleet

import (
	"strings"
	"testing"
)

func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		name, text  string
		lines, most int
		want        string
		more        bool
	}{
		{"nothing", "", 3, 100, "", false},
		{"all of a short log", "a\nb\n", 3, 100, "a\nb\n", false},
		{"as many as there are", "a\nb\n", 2, 100, "a\nb\n", false},
		{"the last ones", "a\nb\nc\n", 2, 100, "b\nc\n", true},
		{"a line that is still written", "a\nb\nc", 2, 100, "b\nc", true},
		{"empty lines count", "a\n\n\n", 2, 100, "\n\n", true},
		{"a line that is cut is left out", "aaaa\nbb\ncc\n", 9, 8, "bb\ncc\n", true},
		{"one line that is too long is cut", strings.Repeat("x", 20), 9, 8, "xxxxxxxx", true},
		{"what is no text is shown as such", "a\xff\n", 1, 100, "a�\n", false},
	} {
		if got, more := lastLines(c.text, c.lines, c.most); got != c.want || more != c.more {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, more, c.want, c.more)
		}
	}
}
