package resources

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestUnifiedIsAsDiffPrintsIt(t *testing.T) {
	numbered := func(from, to int) string {
		var b strings.Builder
		for n := from; n <= to; n++ {
			fmt.Fprintf(&b, "line %d\n", n)
		}
		return b.String()
	}
	for _, c := range []struct{ name, before, after, want string }{
		{"two changes far apart", numbered(1, 30), strings.NewReplacer("line 2\n", "line two\n", "line 20\n", "").Replace(numbered(1, 30)), `
@@ -1,5 +1,5 @@
 line 1
-line 2
+line two
 line 3
 line 4
 line 5
@@ -17,7 +17,6 @@
 line 17
 line 18
 line 19
-line 20
 line 21
 line 22
 line 23`},
		{"two changes close by are one hunk", numbered(1, 9), strings.NewReplacer("line 2\n", "a\tb\n", "line 8\n", "x > y\n").Replace(numbered(1, 9)), `
@@ -1,9 +1,9 @@
 line 1
-line 2
+a	b
 line 3
 line 4
 line 5
 line 6
 line 7
-line 8
+x > y
 line 9`},
		{"from nothing", "", "a\nb\n", "\n@@ -0,0 +1,2 @@\n+a\n+b"},
		{"only the last line break", "a\nb", "a\nb\n", "\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b"},
		{"a terminal's escape sequence", "a\n", "\x1b[2J\n", "\n@@ -1 +1 @@\n-a\n+\"\\x1b[2J\""},
		{"nothing", "a\n", "a\n", ""},
	} {
		want := "--- stored\n+++ new" + c.want
		if diff := cmp.Diff(want, strings.Join(unified(c.before, c.after), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestUnifiedIsBothTexts: the hunks, put in their places in the text before, make the text after.
func TestUnifiedIsBothTexts(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) string {
		all := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 40).Draw(t, "lines")
		return strings.Join(all, "\n")
	})
	rapid.Check(t, func(t *rapid.T) {
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		if got := patched(t, before, unified(before, after)); got != after {
			t.Errorf("%q, want %q", got, after)
		}
	})
}

// patched applies hunks to a text.
func patched(t *rapid.T, before string, diff []string) string {
	old, at := lines(before), 0
	var out []string
	last := byte(0)
	for _, line := range diff[2:] {
		rest := line[1:]
		switch line[0] {
		case '@':
			from, _, _ := strings.Cut(strings.Fields(line)[1][1:], ",")
			n, err := strconv.Atoi(from)
			if err != nil {
				t.Fatalf("%q", line)
			}
			if !strings.Contains(strings.Fields(line)[1], ",0") {
				n--
			}
			out, at = append(out, old[at:n]...), n
		case ' ', '-':
			if strings.TrimSuffix(old[at], "\n") != rest {
				t.Fatalf("line %d is %q, the diff says %q", at+1, old[at], line)
			}
			if line[0] == ' ' {
				out = append(out, old[at])
			}
			at++
		case '+':
			out = append(out, rest+"\n")
		case '\\':
			if last == '+' {
				out[len(out)-1] = strings.TrimSuffix(out[len(out)-1], "\n")
			}
		}
		last = line[0]
	}
	return strings.Join(append(out, old[at:]...), "")
}

func TestAValueIsShownAsItIs(t *testing.T) {
	for want, v := range map[string]any{
		`"a -> <b> & c"`: "a -> <b> & c", `["<x>"]`: []any{"<x>"}, "(2 lines)": "a\nb\n", "3": 3.0,
	} {
		if got := shown(v); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
