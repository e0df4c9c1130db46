package resources

import (
	"fmt"
	"strings"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

const (
	// contextLines is how many unchanged lines stand around a change.
	contextLines = 3
	// maxCompared bounds the pairs of lines that are compared. Of longer texts all lines between
	// the first and the last that differ are shown as changed.
	maxCompared = 4 << 20
)

// edit is a line of a comparison: in both texts (' '), or only before ('-') or after ('+').
type edit struct {
	op   byte
	line string
}

// unified returns the differences of two texts as diff -u prints them, one line an element.
func unified(before, after string) []string {
	edits := compare(lines(before), lines(after))
	out := []string{"--- stored", "+++ new"}
	for from := 0; from < len(edits); {
		first := next(edits, from)
		if first == len(edits) {
			break
		}
		start, end := max(first-contextLines, 0), first
		for end < len(edits) {
			if edits[end].op != ' ' {
				end++
				continue
			}
			// Two changes with little between them are one hunk.
			if again := next(edits, end); again < len(edits) && again-end <= 2*contextLines {
				end = again
				continue
			}
			break
		}
		stop := min(end+contextLines, len(edits))
		out = append(out, hunk(edits, start, stop)...)
		from = end
	}
	return out
}

// next returns the index of the first changed line from an index on.
func next(edits []edit, from int) int {
	for from < len(edits) && edits[from].op == ' ' {
		from++
	}
	return from
}

// hunk returns the lines of edits[start:stop], with their header.
func hunk(edits []edit, start, stop int) []string {
	before, after := 1, 1
	for _, e := range edits[:start] {
		before += one(e.op != '+')
		after += one(e.op != '-')
	}
	wasLines, isLines := 0, 0
	var body []string
	for _, e := range edits[start:stop] {
		wasLines += one(e.op != '+')
		isLines += one(e.op != '-')
		text, ended := strings.CutSuffix(e.line, "\n")
		body = append(body, string(e.op)+printable(text))
		if !ended {
			body = append(body, `\ No newline at end of file`)
		}
	}
	return append([]string{fmt.Sprintf("@@ -%s +%s @@", rangeText(before, wasLines), rangeText(after, isLines))}, body...)
}

// rangeText is a range of lines as diff -u writes it. An empty one names the line before it.
func rangeText(first, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", first-1)
	case 1:
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d,%d", first, n)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// lines splits a text after its line breaks.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	all := strings.SplitAfter(text, "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1] // the text ends with a line break
	}
	return all
}

// printable is output.Printable for a line of a file, which may be indented with tabs.
func printable(line string) string {
	if without := strings.ReplaceAll(line, "\t", ""); output.Printable(without) == without {
		return line
	}
	return output.Printable(line)
}

// compare returns the edits from a to b: what is common at both ends, and between them a
// longest common subsequence.
func compare(a, b []string) []edit {
	first := 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		first++
	}
	last := 0
	for last < min(len(a), len(b))-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	var edits []edit
	add := func(op byte, of []string) {
		for _, line := range of {
			edits = append(edits, edit{op, line})
		}
	}
	add(' ', a[:first])
	edits = append(edits, between(a[first:len(a)-last], b[first:len(b)-last])...)
	add(' ', a[len(a)-last:])
	return edits
}

func between(a, b []string) []edit {
	var edits []edit
	if len(a)*len(b) > maxCompared {
		for _, line := range a {
			edits = append(edits, edit{'-', line})
		}
		for _, line := range b {
			edits = append(edits, edit{'+', line})
		}
		return edits
	}
	// common[i][j] is the length of a longest common subsequence of a[i:] and b[j:].
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			edits = append(edits, edit{'-', a[i]})
			i++
		default:
			edits = append(edits, edit{'+', b[j]})
			j++
		}
	}
	return edits
}
