// Package benchreport stores the rows of `make bench`. A row has a figure, its target,
// its ratio to a limit or a peer measured in the same run, and whether the target is
// met.
//
// Different tests may write rows in any order; the table shows them in the order of
// their numbers. The raw results stay with their row. The test that measures decides
// whether its target is met.
package benchreport

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// Env is the environment variable with the directory for the rows. If it is not set,
// tests skip their measurements.
const Env = "GREENROOM_BENCH"

// Row is one line of the table.
type Row struct {
	// Number is the row's position in the table.
	Number int `json:"number"`
	// What describes the measurement and its load. It is unique in the table.
	What string `json:"what"`
	// Target and Figure are texts with their units.
	Target string `json:"target"`
	Figure string `json:"figure"`
	// Limit is the figure of the limit or the peer, measured in the same run; "" for none.
	Limit string `json:"limit,omitempty"`
	// Ratio is the figure divided by the limit's or peer's; 0 if there is none.
	Ratio float64 `json:"ratio,omitempty"`
	// Met reports whether the figure meets the target.
	Met bool `json:"met"`
	// Note explains the measurement, or why the target is not met; it may be "".
	Note string `json:"note,omitempty"`
	// Machine is what the machine did meanwhile; nil if that is not known.
	Machine *Machine `json:"machine,omitempty"`
	// Raw holds the results behind the figure.
	Raw any `json:"raw,omitempty"`
}

// notInName matches the characters that a file name replaces by "-".
var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// Keep writes a row to a directory and replaces an earlier one with the same What.
func Keep(dir string, r Row) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%02d-%s.row.json", r.Number, strings.Trim(notInName.ReplaceAllString(strings.ToLower(r.What), "-"), "-"))
	return os.WriteFile(filepath.Join(dir, name), append(b, '\n'), 0o644)
}

// Rows returns a directory's rows in the order of their numbers. It is an error if
// there are none.
func Rows(dir string) ([]Row, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.row.json"))
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var r Row
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, errors.New("nothing was measured: no rows in " + dir)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Number, b.Number) })
	return rows, nil
}

// Print writes the table, and below it for each row what the machine did and the note.
func Print(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "#\tWHAT\tTARGET\tFIGURE\tLIMIT\tRATIO\tVERDICT")
	for _, r := range rows {
		ratio, result := "-", "NOT MET"
		if r.Ratio != 0 {
			ratio = fmt.Sprintf("%.3g", r.Ratio)
		}
		if r.Met {
			result = "met"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.What, r.Target, r.Figure, cmp.Or(r.Limit, "-"), ratio, result)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	halts := false
	for _, r := range rows {
		halts = halts || r.Machine != nil && r.Machine.HaltPollNS == 0
		var lines []string
		if r.Machine != nil {
			lines = append(lines, "machine: "+r.Machine.String())
		}
		if r.Note != "" {
			lines = append(lines, r.Note)
		}
		for _, line := range lines {
			if _, err := fmt.Fprintf(w, "%d: %s\n", r.Number, line); err != nil {
				return err
			}
		}
	}
	if halts {
		if _, err := fmt.Fprintln(w, haltsAtOnce); err != nil {
			return err
		}
	}
	return nil
}

// Median returns the median of values: the middle one, or the mean of the two in the
// middle. Without values it returns 0.
func Median(values ...float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
