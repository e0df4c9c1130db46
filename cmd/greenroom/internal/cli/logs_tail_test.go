package cli

import (
	"strings"
	"testing"
)

// TestTailWriterKeepsTheLastLines, however the log is cut into writes.
func TestTailWriterKeepsTheLastLines(t *testing.T) {
	for _, tt := range []struct {
		lines      int
		text, want string
	}{
		{1, "", ""},
		{1, "a", "a"},
		{1, "a\n", "a\n"},
		{1, "a\nb\n", "b\n"},
		{1, "a\nb", "b"},
		{2, "a\nb\nc\n", "b\nc\n"},
		{2, "a\n\nc\n", "\nc\n"},
		{5, "a\nb\n", "a\nb\n"},
		{3, strings.Repeat("x\n", 1000), "x\nx\nx\n"},
	} {
		for _, size := range []int{1, 3, 1 << 20} {
			w := tailWriter{lines: tt.lines}
			for rest := tt.text; rest != ""; {
				n := min(size, len(rest))
				if _, err := w.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if string(w.kept) != tt.want || w.written != int64(len(tt.text)) {
				t.Errorf("the last %d lines of %q in writes of %d: %q, %d bytes", tt.lines, tt.text, size, w.kept, w.written)
			}
		}
	}
}
