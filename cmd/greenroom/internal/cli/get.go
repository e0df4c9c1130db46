package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
)

// allKinds is the word for every kind.
const allKinds = "all"

func newGetCommand() *cobra.Command {
	cmd := asList(&cobra.Command{
		Use:   "get KIND|all [NAME...]",
		Short: "Show zones, images, groups and staging configs, also as apply reads them",
		Long: `Show resources of a KIND, which is zone, image, group or staging: all of them, or those
that are named. With -o json or yaml, a single NAME is shown by itself.

-o hcl prints them as greenroom apply reads them, for get all too, so that files can be
begun from what is stored, kept as a copy, or applied to another installation. What may
be a secret is printed to administrators alone; where it is (hidden), apply keeps the
stored value.`,
		Example: `  greenroom get image demo -o hcl > demo.hcl
  greenroom get all -o hcl > everything.hcl
  greenroom get staging -o wide`,
		Args: someArguments("KIND, or all"),
		RunE: runGet,
	})
	output.AllowFormats(cmd, output.Wide, output.Name, output.HCL)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return completeDelete(cmd, args, begun)
		}
		words, directive := completeFlag(kindNames)(cmd, args, begun)
		return append(words, allKinds), directive
	}
	return cmd
}

func runGet(cmd *cobra.Command, args []string) error {
	if args[0] == allKinds {
		return getAll(cmd, args[1:])
	}
	k, err := kindOf(args[0])
	if err != nil {
		return exit.BadUsage(err)
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	l, err := k.list(cmd.Context(), c)
	if err != nil {
		return err
	}
	for _, name := range args[1:] {
		if !slices.ContainsFunc(l.rows, func(row []string) bool { return row[0] == name }) {
			return k.exists(cmd.Context(), c, name)
		}
	}
	if len(args) > 1 {
		l = l.only(args[1:])
	}
	switch {
	case output.Format(cmd) == output.HCL:
		return writeHCL(cmd, k, l)
	case output.WantsJSON(cmd) && len(args) == 2:
		return printBody(cmd, l.raw[0])
	}
	return l.print(cmd)
}

// only returns the list with those items whose name is one of names.
func (l listing) only(names []string) listing {
	of := listing{header: l.header, wide: l.wide}
	for i, row := range l.rows {
		if slices.Contains(names, row[0]) {
			of.raw, of.rows = append(of.raw, l.raw[i]), append(of.rows, row)
		}
	}
	return of
}

// getAll prints every resource.
func getAll(cmd *cobra.Command, names []string) error {
	if len(names) > 0 {
		return exit.BadUsage(fmt.Errorf("get all takes no NAME, and has %q", names[0]))
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	document := map[string][]json.RawMessage{}
	for n, k := range kinds {
		l, err := k.list(cmd.Context(), c)
		if err != nil {
			return err
		}
		switch format := output.Format(cmd); {
		case output.WantsJSON(cmd):
			document[k.plural] = append([]json.RawMessage{}, l.raw...)
			continue
		case format == output.HCL:
			err = writeHCL(cmd, k, l)
		default:
			if n > 0 && format != output.Name {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			for i := range l.rows {
				l.rows[i][0] = k.name + "/" + l.rows[i][0]
			}
			err = l.print(cmd)
		}
		if err != nil {
			return err
		}
	}
	if output.WantsJSON(cmd) {
		return output.JSON(cmd, document)
	}
	return nil
}

// writeHCL prints resources of one kind as apply reads them.
func writeHCL(cmd *cobra.Command, k kind, l listing) error {
	for _, raw := range l.raw {
		block, err := resources.WriteHCL(k.name, raw)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n", bytes.TrimSpace(block)); err != nil {
			return err
		}
	}
	return nil
}
