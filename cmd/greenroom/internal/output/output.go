// Package output has what every command's output shares: the flags -o and --json, JSON and
// YAML for programs, and texts that are safe to print on a terminal.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// The flags that choose the format of a command's result.
const (
	flagOutput = "output"
	flagJSON   = "json"
)

// The formats of a command's result.
const (
	Table      = "table"
	FormatJSON = "json"
	FormatYAML = "yaml"
	// Wide is a table with more columns, and Name one name a line; lists alone have them.
	Wide = "wide"
	Name = "name"
	// HCL is what greenroom apply reads; greenroom get alone has it.
	HCL = "hcl"
)

// formatsOf is the key of the annotation that lists the formats that a command has beside
// those of all commands.
const formatsOf = "greenroom/formats"

// AddFlags adds the flags that WantsJSON reads to a command and those below it.
func AddFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringP(flagOutput, "o", Table, "table for people, json or yaml for programs; lists also wide and name")
	f.Bool(flagJSON, false, "the same as -o json")
	err := cmd.RegisterFlagCompletionFunc(flagOutput, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return formats(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic("greenroom: " + err.Error())
	}
}

// AllowFormats adds to the formats that a command has.
func AllowFormats(cmd *cobra.Command, more ...string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[formatsOf] = strings.Join(more, " ")
}

// formats returns the formats that a command has.
func formats(cmd *cobra.Command) []string {
	return append([]string{Table, FormatJSON, FormatYAML}, strings.Fields(cmd.Annotations[formatsOf])...)
}

// CheckFlags returns a usage error if --output names no format of the command's.
func CheckFlags(cmd *cobra.Command) error {
	o, err := cmd.Flags().GetString(flagOutput)
	if known := formats(cmd); err == nil && !slices.Contains(known, o) {
		return exit.BadUsage(fmt.Errorf("--%s: must be one of %s, is %q", flagOutput, strings.Join(known, ", "), o))
	}
	return err
}

// Format returns the format of a command's result.
func Format(cmd *cobra.Command) string {
	// A command may have a --json of its own that names a file; that one is no bool.
	if asked, err := cmd.Flags().GetBool(flagJSON); err == nil && asked {
		return FormatJSON
	}
	o, _ := cmd.Flags().GetString(flagOutput)
	return o
}

// WantsJSON reports whether a command prints its result for a program, as JSON or as YAML.
func WantsJSON(cmd *cobra.Command) bool {
	f := Format(cmd)
	return f == FormatJSON || f == FormatYAML
}

// JSON prints a command's result as indented JSON, or as YAML where that is asked for.
func JSON(cmd *cobra.Command, document any) error {
	if Format(cmd) == FormatYAML {
		return yamlDocument(cmd.OutOrStdout(), document)
	}
	return IndentedJSON(cmd.OutOrStdout(), document)
}

// IndentedJSON writes a document as indented JSON.
func IndentedJSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // a terminal is no page
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// JSONLine prints one of several results of a command: as JSON in one line, or as a document
// of YAML where that is asked for.
func JSONLine(cmd *cobra.Command, document any) error {
	if Format(cmd) == FormatYAML {
		if _, err := io.WriteString(cmd.OutOrStdout(), "---\n"); err != nil {
			return err
		}
		return yamlDocument(cmd.OutOrStdout(), document)
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetEscapeHTML(false)
	return e.Encode(document)
}

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
