// Package output has what every command's output shares: the flags -o and --json, JSON
// for programs, and texts that are safe to print on a terminal.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// The flags that choose the format of a command's result.
const (
	flagOutput = "output"
	flagJSON   = "json"
)

const (
	formatTable = "table"
	formatJSON  = "json"
)

// AddFlags adds the flags that WantsJSON reads to a command and those below it.
func AddFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringP(flagOutput, "o", formatTable, "table for people, json for programs")
	f.Bool(flagJSON, false, "the same as -o json")
}

// CheckFlags returns a usage error if --output names no format.
func CheckFlags(cmd *cobra.Command) error {
	o, err := cmd.Flags().GetString(flagOutput)
	if err != nil || o == formatTable || o == formatJSON {
		return err
	}
	return exit.BadUsage(fmt.Errorf("--%s: must be %s or %s, is %q", flagOutput, formatTable, formatJSON, o))
}

// WantsJSON reports whether a command prints its result for a program.
func WantsJSON(cmd *cobra.Command) bool {
	// A command may have a --json of its own that names a file; that one is no bool.
	asked, err := cmd.Flags().GetBool(flagJSON)
	o, _ := cmd.Flags().GetString(flagOutput)
	return o == formatJSON || err == nil && asked
}

// JSON writes a document as indented JSON.
func JSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // a terminal is no page
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// JSONLine writes a document as JSON in one line.
func JSONLine(w io.Writer, document any) error { return json.NewEncoder(w).Encode(document) }

// Printable quotes a text with characters that a terminal would act on, such as
// escape sequences and line breaks: users choose their names.
func Printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
