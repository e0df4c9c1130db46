package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The flags that say how a command prints its result.
const (
	flagOutput = "output"
	flagJSON   = "json"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

// addOutputFlags adds the flags that wantsJSON reads.
func addOutputFlags(f *pflag.FlagSet) {
	f.StringP(flagOutput, "o", outputTable, "table for people, json for programs")
	f.Bool(flagJSON, false, "the same as -o json")
}

// checkOutputFlags returns an error of usage where --output names no format.
func checkOutputFlags(cmd *cobra.Command) error {
	o, err := cmd.Flags().GetString(flagOutput)
	if err != nil || o == outputTable || o == outputJSON {
		return err
	}
	return badUsage(fmt.Errorf("--%s: must be %s or %s, is %q", flagOutput, outputTable, outputJSON, o))
}

// wantsJSON reports whether a command prints its result for a program.
func wantsJSON(cmd *cobra.Command) bool {
	// A command may have a --json of its own, which names a file: that is no bool.
	asked, err := cmd.Flags().GetBool(flagJSON)
	o, _ := cmd.Flags().GetString(flagOutput)
	return o == outputJSON || err == nil && asked
}

// encode prints a document for programs.
func encode(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// encodeLine prints a document for programs in one line.
func encodeLine(w io.Writer, document any) error { return json.NewEncoder(w).Encode(document) }

// printable quotes a text with characters that a terminal would act on, such as
// escape sequences and line breaks: users choose their names.
func printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
