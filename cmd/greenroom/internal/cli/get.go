package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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
		Use:   "get KIND|all [NAME...] | KIND/NAME...",
		Short: "Show zones, images, groups, staging configs and webhooks, also as apply reads them",
		Long: `Show resources of a KIND, which is zone, image, group, staging or webhook: all of them, or
those that are named; or those that are named as KIND/NAME, also of several kinds. With -o json
or yaml, a single NAME is shown by itself.

-o hcl prints them as greenroom apply reads them, for get all too, so that files can be
begun from what is stored, kept as a copy, or applied to another installation. What may
be a secret is printed to administrators alone, and a webhook's secret to nobody; where
it is (hidden), apply keeps the stored value. A text of several lines, such as a jobspec,
is a heredoc; chomp(...) around it removes the line break at its end, where the text has
none.`,
		Example: `  greenroom get image demo -o hcl > demo.hcl
  greenroom get image/demo staging/demo-east
  greenroom get all -o hcl > everything.hcl
  greenroom get staging -o wide`,
		Args: someArguments("KIND, or all"),
		RunE: runGet,
	})
	output.AllowFormats(cmd, output.Wide, output.Name, output.HCL)
	cmd.ValidArgsFunction = completeResources(allKinds)
	return cmd
}

func runGet(cmd *cobra.Command, args []string) error {
	wanted, err := wantedOf(args)
	if err != nil {
		return exit.BadUsage(err)
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	lists := make([]listing, len(wanted))
	for i, w := range wanted {
		lists[i], err = w.read(cmd.Context(), c)
		if args[0] == allKinds && mayNotSee(w.kind, err) {
			continue
		}
		if err != nil {
			return err
		}
	}
	if args[0] == allKinds || len(wanted) > 1 {
		return printKinds(cmd, wanted, lists)
	}
	k, l := wanted[0].kind, lists[0]
	switch {
	case output.Format(cmd) == output.HCL:
		return writeHCL(cmd, k, l)
	case output.WantsJSON(cmd) && len(wanted[0].names) == 1:
		return printBody(cmd, l.raw[0])
	}
	return l.print(cmd)
}

// wantedResources are resources of one kind: those with the names, or without any all.
type wantedResources struct {
	kind  kind
	names []string
}

// wantedOf returns the resources that get's arguments name, by kind.
func wantedOf(args []string) ([]wantedResources, error) {
	if args[0] == allKinds {
		if len(args) > 1 {
			return nil, fmt.Errorf("get all takes no NAME, and has %q", args[1])
		}
		var all []wantedResources
		for _, k := range kinds {
			all = append(all, wantedResources{kind: k})
		}
		return all, nil
	}
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		k, err := kindOf(args[0])
		return []wantedResources{{kind: k}}, err
	}
	named, err := namedIn(args)
	var all []wantedResources
	for _, r := range named {
		i := slices.IndexFunc(all, func(w wantedResources) bool { return w.kind.name == r.kind.name })
		if i < 0 {
			i, all = len(all), append(all, wantedResources{kind: r.kind})
		}
		all[i].names = append(all[i].names, r.name)
	}
	return all, err
}

// read lists the resources. It is an error if one that is named does not exist.
func (w wantedResources) read(ctx context.Context, c *client.Client) (listing, error) {
	l, err := w.kind.list(ctx, c)
	if err != nil || len(w.names) == 0 {
		return l, err
	}
	for _, name := range w.names {
		if !slices.ContainsFunc(l.rows, func(row []string) bool { return row[0] == name }) {
			// It may have been created meanwhile.
			return l, cmp.Or(w.kind.exists(ctx, c, name), error(&absentError{fmt.Errorf("there was no %s %q a moment ago; call again", w.kind.name, name)}))
		}
	}
	return l.only(w.names), nil
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

// printKinds prints resources of several kinds.
func printKinds(cmd *cobra.Command, wanted []wantedResources, lists []listing) error {
	document := map[string][]json.RawMessage{}
	for n, l := range lists {
		k, err := wanted[n].kind, error(nil)
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
