package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// listing is a list, in every format in which a command can print it.
type listing struct {
	// raw are the items as the broker answered them.
	raw []json.RawMessage
	// header are the columns of the table, and wide those that -o wide adds.
	header, wide []string
	// rows have the cells of header and then those of wide. The name is the first cell, or the
	// one at nameAt.
	rows   [][]string
	nameAt int
}

// asList marks a command as one that prints a listing.
func asList(cmd *cobra.Command) *cobra.Command {
	output.AllowFormats(cmd, output.Wide, output.Name)
	return cmd
}

// print prints the list in the format that the command's flags name.
func (l listing) print(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	switch output.Format(cmd) {
	case output.FormatJSON, output.FormatYAML:
		raw := l.raw
		if raw == nil {
			raw = []json.RawMessage{}
		}
		body, err := json.Marshal(map[string]any{"items": raw})
		if err != nil {
			return err
		}
		return printBody(cmd, body)
	case output.Name:
		for _, row := range l.rows {
			if _, err := fmt.Fprintln(w, row[l.nameAt]); err != nil {
				return err
			}
		}
		return nil
	case output.Wide:
		return printTable(w, append(append([]string{}, l.header...), l.wide...), l.rows)
	}
	rows := make([][]string, len(l.rows))
	for i, row := range l.rows {
		rows[i] = row[:len(l.header)]
	}
	return printTable(w, l.header, rows)
}

// itemsOf returns the items of a list of the broker's, as it answered them.
func itemsOf(body []byte) ([]json.RawMessage, error) {
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the broker's answer is not JSON: %w", err)
	}
	return list.Items, nil
}
