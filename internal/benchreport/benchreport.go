// Package benchreport keeps the rows of `make bench`: a figure beside the target that
// it is held against, its ratio to a limit or a peer that was measured in the same
// run, and whether the target is met.
//
// It promises that rows which are measured by different tests, in whatever order,
// end up in one table in the order of their numbers, and that the raw results stay
// with their row. It judges nothing: whoever measures says what is met.
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

// Env names the variable of the environment with the directory to keep rows in.
// Where it is not set, nothing is to be measured.
const Env = "GREENROOM_BENCH"

// Row is one line of the table.
type Row struct {
	// Number is its place in the table.
	Number int `json:"number"`
	// What was measured, with what load; no two rows are alike in this.
	What string `json:"what"`
	// Target and Figure are texts with their units.
	Target string `json:"target"`
	Figure string `json:"figure"`
	// Ratio is what the figure is of the limit or peer; 0 where there is none.
	Ratio float64 `json:"ratio,omitempty"`
	Met   bool    `json:"met"`
	// Note says how it was measured or why the target is not met; it may be "".
	Note string `json:"note,omitempty"`
	// Raw are the results that it was taken from.
	Raw any `json:"raw,omitempty"`
}

// notName is what a file's name is spared.
var notName = regexp.MustCompile(`[^a-z0-9]+`)

// Keep keeps a row in a directory, in the place of an earlier one of the same What.
func Keep(dir string, r Row) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%02d-%s.row.json", r.Number, strings.Trim(notName.ReplaceAllString(strings.ToLower(r.What), "-"), "-"))
	return os.WriteFile(filepath.Join(dir, name), append(b, '\n'), 0o644)
}

// Rows reads those that are kept in a directory, in order.
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
		return nil, errors.New("nothing was measured: there are no rows in " + dir)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Number, b.Number) })
	return rows, nil
}

// Print writes the table, and below it the notes.
func Print(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "#\tWHAT\tTARGET\tFIGURE\tRATIO\tVERDICT")
	for _, r := range rows {
		ratio, met := "-", "NOT MET"
		if r.Ratio != 0 {
			ratio = fmt.Sprintf("%.3g", r.Ratio)
		}
		if r.Met {
			met = "met"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.What, r.Target, r.Figure, ratio, met)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Note != "" {
			if _, err := fmt.Fprintf(w, "%d: %s\n", r.Number, r.Note); err != nil {
				return err
			}
		}
	}
	return nil
}

// Median is the middle of values, or the mean of the two in the middle; 0 of none.
func Median(values ...float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
