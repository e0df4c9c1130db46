package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// printBody prints the API's answer, indented and otherwise unchanged, so that fields of a
// newer broker are not lost.
func printBody(cmd *cobra.Command, body []byte) error {
	body = bytes.TrimSpace(body)
	if !json.Valid(body) {
		return errors.New("the broker's answer is not JSON")
	}
	if output.Format(cmd) == output.FormatYAML {
		return output.JSON(cmd, json.RawMessage(body))
	}
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(cmd.OutOrStdout())
	return err
}

// printTable prints rows under a header. It prints a dash for an empty cell, so that scripts
// without JSON can count columns.
func printTable(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = output.Printable(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// fact is a name and its value.
type fact struct{ name, value string }

// printFacts prints facts, one per line, without those that have no value.
func printFacts(w io.Writer, facts []fact) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range facts {
		if f.value != "" {
			fmt.Fprintf(t, "%s\t%s\n", f.name, output.Printable(f.value))
		}
	}
	return t.Flush()
}

// age returns how long before now at was, in at most two units; "" for the zero time.
func age(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	d := max(now.Sub(at), 0)
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// moment returns a time in RFC 3339; "" for the zero time.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}

// endpoints lists a session's ports as label=address:port, in the order of the labels.
func endpoints(address string, ports map[string]int) string {
	if address == "" || len(ports) == 0 {
		return address
	}
	parts := make([]string, 0, len(ports))
	for _, label := range slices.Sorted(maps.Keys(ports)) {
		parts = append(parts, fmt.Sprintf("%s=%s:%d", label, address, ports[label]))
	}
	return strings.Join(parts, " ")
}
