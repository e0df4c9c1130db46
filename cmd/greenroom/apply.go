package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/staging"
)

// applyFlags are those of apply and plan.
type applyFlags struct {
	paths      []string
	prune, yes bool
}

func (f *applyFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.paths, "file", "f", nil, "a file, a directory of files, or - for standard input; may be repeated (required)")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete what is stored and not in the files, of the kinds that the files have")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic("greenroom: " + err.Error())
	}
}

func newApplyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Create and change zones, images, groups and staging configs from HCL files",
		Long: `Create and change zones, images, groups and staging configs from HCL files.

Everything is read, and held to every rule by the broker, before the first
resource is stored; then zones go first, images next, groups, and staging
configs last. What is stored already as it is in the files is left alone. What
was changed is printed, field by field; greenroom plan prints it beforehand.
Should something fail in the middle all the same, the error says which changes
were not made: apply again to make them.

Nothing is deleted, except with --prune: then what is stored and not in the files
goes, after everything else, staging configs first. Only kinds that the files
have are pruned: files without a group leave all groups alone. You are asked
first; --yes answers. A deleted staging config's unused sessions are retired, and
sessions that users have stay.

Of a directory, every file that ends in .hcl is read, except those that end in
.nomad.hcl: these are jobspecs, which images read with file("..."), whose path
is relative to the file that it is in. The contents of such a file are not
evaluated. In a jobspec that is written into the resource file itself, as a
heredoc, ${ is HCL's: write $${NOMAD_PORT_http} for Nomad to see
${NOMAD_PORT_http}.`,
		Example: `  greenroom apply -f resources/
  greenroom apply -f zones.hcl -f demo.hcl -o json
  greenroom apply -f resources/ --prune --yes

A resource file:

  zone "east" {
    datacenters = ["dc1"]
  }

  image "demo" {
    jobspec   = file("demo.nomad.hcl")
    variables = { warmup = "5s" }

    exec_config {
      assign {
        cmd         = ["/bin/sh", "-c", "echo \"$GREENROOM_USER_NAME\" > /tmp/user"]
        environment = { LANG = "C.UTF-8" }
        timeout     = "10s"
      }
    }
  }

  staging "demo-east" {
    zone             = "east"
    image            = "demo"
    desired_sessions = 3
    expiration       = "24h"
  }`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runApply(cmd, f) },
	}
	f.register(cmd)
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "delete without asking")
	return cmd
}

// plan reads the files and works out what applying them changes, once every rule,
// the files' own and the broker's, holds.
func plan(cmd *cobra.Command, f applyFlags) (*client, []change, error) {
	files, err := loadResources(f.paths, cmd.InOrStdin())
	if err != nil {
		return nil, nil, err
	}
	c, err := clientOf(cmd)
	if err != nil {
		return nil, nil, err
	}
	there, err := c.stored(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	var prune []string
	if f.prune {
		prune = files.kinds()
	}
	all := files.set.changes(there, prune)
	if err := files.references(there, all); err != nil {
		return nil, nil, err
	}
	return c, all, files.accepted(cmd.Context(), c, all)
}

func runApply(cmd *cobra.Command, f applyFlags) error {
	c, all, err := plan(cmd, f)
	if err != nil {
		return err
	}
	if err := f.confirm(cmd, all); err != nil {
		return err
	}
	if !wantsJSON(cmd) {
		return c.apply(cmd.Context(), all, func(ch change) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %q %s\n", ch.Kind, ch.Name, ch.Action.done())
			if ch.Action == actionUpdate {
				printFields(cmd.OutOrStdout(), ch)
			}
		})
	}
	items := []applied{}
	err = c.apply(cmd.Context(), all, func(ch change) {
		items = append(items, applied{Kind: ch.Kind, Name: ch.Name, Result: ch.Action.done(), Fields: ch.Fields})
	})
	// What was done before an error was done.
	return errors.Join(err, encode(cmd.OutOrStdout(), map[string][]applied{"items": items}))
}

// applied is what became of one resource.
type applied struct {
	Kind   string       `json:"kind"`
	Name   string       `json:"name"`
	Result string       `json:"result"`
	Fields []difference `json:"fields,omitempty"`
}

// encode prints a document for programs.
func encode(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// encodeLine prints a document for programs in one line.
func encodeLine(w io.Writer, document any) error { return json.NewEncoder(w).Encode(document) }

// confirm asks before something is deleted.
func (f applyFlags) confirm(cmd *cobra.Command, all []change) error {
	var doomed []string
	for _, ch := range all {
		if ch.Action == actionDelete {
			doomed = append(doomed, fmt.Sprintf("%s %q", ch.Kind, ch.Name))
		}
	}
	switch {
	case len(doomed) == 0 || f.yes:
		return nil
	case slices.Contains(f.paths, standardInput):
		return usageError{fmt.Errorf("--prune would delete %s, and cannot ask where the resources come from standard input: say --yes", strings.Join(doomed, ", "))}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This deletes %s.\nType yes to go on: ", strings.Join(doomed, ", "))
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		fmt.Fprintln(cmd.ErrOrStderr())
		return usageError{errors.New("nothing was changed: the deletion was not confirmed; say yes, or --yes where nobody can be asked")}
	}
	return nil
}

// unfinishedError says that changes were begun and not all were made.
type unfinishedError struct {
	cause error
	made  int
	left  []change
}

// Error implements error.
func (e *unfinishedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n  changes made: %d; not made:", e.cause, e.made)
	for _, ch := range e.left {
		fmt.Fprintf(&b, "\n    %s %s %q", ch.Action, ch.Kind, ch.Name)
	}
	b.WriteString("\n  apply again to make them: what is done already is left alone")
	return b.String()
}

// Unwrap gives the cause.
func (e *unfinishedError) Unwrap() error { return e.cause }

// kinds are the kinds of resources that the files have.
func (f *resourceFiles) kinds() []string {
	var kinds []string
	for _, kind := range []string{blockZone, blockImage, blockGroup, blockStaging} {
		for id := range f.declared {
			if strings.HasPrefix(id, kind+" ") {
				kinds = append(kinds, kind)
				break
			}
		}
	}
	return kinds
}

// references checks that what a staging config names is in the files or stored, and
// that no staging config is left that names what is deleted.
func (f *resourceFiles) references(there stored, all []change) error {
	gone := map[string]bool{}
	for _, ch := range all {
		gone[ch.Kind+" "+ch.Name] = ch.Action == actionDelete
	}
	for _, c := range f.set.configs {
		block := f.blocks[blockStaging+" "+c.Name]
		for _, ref := range []struct{ kind, name string }{{blockZone, c.Zone}, {blockImage, c.Image}} {
			id := ref.kind + " " + ref.name
			_, declared := f.declared[id]
			switch {
			case declared || there[ref.kind][ref.name] != "" && !gone[id]:
			case gone[id]:
				f.find(rangeOf(block, ref.kind), "staging %q: %s %q is not in these files, and --prune would delete it", c.Name, ref.kind, ref.name)
			default:
				f.find(rangeOf(block, ref.kind), "staging %q: there is no %s %q, neither in these files nor in the broker", c.Name, ref.kind, ref.name)
			}
		}
	}
	for name, text := range there[blockStaging] {
		id := blockStaging + " " + name
		if _, declared := f.declared[id]; declared || gone[id] {
			continue
		}
		var c staging.Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return err
		}
		for _, ref := range []struct{ kind, name string }{{blockZone, c.Zone}, {blockImage, c.Image}} {
			if gone[ref.kind+" "+ref.name] {
				f.findings = append(f.findings, fmt.Sprintf("%s %q is not in these files, and --prune cannot delete it: staging config %q, which these files leave alone, names it",
					ref.kind, ref.name, name))
			}
		}
	}
	return f.err()
}

// checkTimeout bounds the broker's look at a set: it asks Nomad about each jobspec.
const checkTimeout = 4 * callTimeout

// accepted asks the broker whether it would take everything that changes, as one
// set: its limits, the jobspecs by Nomad's word, what fits together.
func (f *resourceFiles) accepted(ctx context.Context, c *client, all []change) error {
	var set httpapi.ResourceSet
	at := map[string]change{}
	for _, ch := range all {
		switch v := ch.resource.(type) {
		case staging.Zone:
			at[partOf("zones", len(set.Zones))] = ch
			set.Zones = append(set.Zones, v)
		case staging.Image:
			at[partOf("images", len(set.Images))] = ch
			set.Images = append(set.Images, v)
		case staging.Group:
			at[partOf("groups", len(set.Groups))] = ch
			set.Groups = append(set.Groups, v)
		case staging.Config:
			at[partOf("staging", len(set.Staging))] = ch
			set.Staging = append(set.Staging, v)
		}
	}
	if len(at) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := c.CheckResourcesWithResponse(ctx, set)
	err = c.answered(r, err, 204)
	var refused *problemError
	if !errors.As(err, &refused) {
		return err
	}
	for _, e := range refused.Errors {
		in, field, _ := strings.Cut(e.Field, ".")
		ch, ok := at[in]
		if !ok {
			return err
		}
		f.find(rangeOf(f.blocks[ch.Kind+" "+ch.Name], field), "%s %q: %s %s", ch.Kind, ch.Name, field, e.Message)
	}
	if len(refused.Errors) == 0 {
		return err
	}
	return f.err()
}

// partOf is the place of a part in a set, as the broker names it.
func partOf(list string, n int) string { return list + "[" + strconv.Itoa(n) + "]" }
