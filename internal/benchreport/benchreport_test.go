package benchreport

import (
	"bytes"
	"strings"
	"testing"
)

func TestRowsAreKeptAndPrintedInOrder(t *testing.T) {
	dir := t.TempDir()
	if _, err := Rows(dir); err == nil {
		t.Error("want an error for a directory without rows, got none")
	}
	for _, r := range []Row{
		{Number: 12, What: "growth", Target: "none", Figure: "0", Met: true},
		{Number: 2, What: "claims / s, with fence", Target: "at least 0.80", Figure: "100/s", Ratio: 0.1},
		{Number: 2, What: "claims / s, with fence", Target: "at least 0.80", Figure: "700/s of 1000/s", Ratio: 0.7, Note: "the log is slow", Raw: []int{1}},
	} {
		if err := Keep(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := Rows(dir)
	if err != nil || len(rows) != 2 || rows[0].Number != 2 {
		t.Fatalf("%v %+v", err, rows)
	}
	var out bytes.Buffer
	if err := Print(&out, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range [][]string{{"VERDICT"}, {"2 ", "700/s", "0.7", "NOT MET"}, {"12 ", "-", "met"}, {"2: the log is slow"}} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("line %d lacks %q:\n%s", i, w, &out)
			}
		}
	}
}

func TestMedian(t *testing.T) {
	if got := Median(5, 1, 3); got != 3 {
		t.Errorf("of three: %v", got)
	}
	if got := Median(4, 1, 3, 2); got != 2.5 {
		t.Errorf("of four: %v", got)
	}
	if got := Median(); got != 0 {
		t.Errorf("of none: %v", got)
	}
}
