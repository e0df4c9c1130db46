// Package resources is greenroom plan and apply: it reads zones, images, groups and
// staging configs from HCL files, compares them with what a broker has stored, and makes
// the changes in an order in which references always resolve.
package resources

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// applyFlags are the flags of apply and plan.
type applyFlags struct {
	paths      []string
	prune, yes bool
	// secrets shows values that may be secrets.
	secrets bool
	// wait is for the pools, at most for the timeout.
	wait    bool
	timeout time.Duration
}

func (f *applyFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.paths, "file", "f", nil, "a file, a directory of files, or - for standard input; may be repeated (required)")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete what is stored and not in the files, of the kinds that the files have")
	cmd.Flags().BoolVar(&f.secrets, "show-secrets", false, "show the values that change where they may be secrets: of jobspecs, variables, run configs, hooks and webhooks")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic("greenroom: " + err.Error())
	}
}

// NewApplyCommand returns greenroom apply.
func NewApplyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Create and change zones, images, groups, staging configs and webhooks from HCL files",
		Long: `Create and change zones, images, groups, staging configs and webhooks from HCL files.

Everything is read, and held to every rule by the broker, before the first
resource is stored; then groups go first, zones next, images, staging configs,
and webhooks last. What is stored already as it is in the files is left alone. What
was changed is printed, field by field; greenroom plan prints it beforehand.
What may be a secret is printed as (hidden), except with --show-secrets. A field
that is (hidden) in a file keeps the value that is stored.
Should something fail in the middle all the same, the error says which changes
were not made: apply again to make them.

Nothing is deleted, except with --prune: then what is stored and not in the files
goes, after everything else, staging configs first. Only kinds that the files
have are pruned: files without a group leave all groups alone. You are asked
first; --yes answers. A deleted staging config's unused sessions are retired, and
sessions that users have stay.

With --wait it ends once every pool of the files, and every pool of an image or zone that
they change, has its desired sessions ready; those of an older revision do not count. What
is missing is printed on the standard error, with why; after --timeout the exit code is 1.

Of a directory, every file that ends in .hcl is read, except those that end in
.nomad.hcl: these are jobspecs, which images read with file("..."), whose path
is relative to the file that it is in. The contents of such a file are not
evaluated. In a jobspec that is written into the resource file itself, as a
heredoc, ${ is HCL's: write $${NOMAD_PORT_http} for Nomad to see
${NOMAD_PORT_http}.`,
		Example: `  greenroom apply -f resources/
  greenroom apply -f zones.hcl -f demo.hcl -o json
  greenroom apply -f resources/ --wait --timeout 5m
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
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the pools of the files' staging configs, and of the images and zones that they change, have their desired sessions ready and of the current revision")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long --wait waits at most")
	return cmd
}

// plan reads the files and returns the changes that applying them makes, with the client
// for that. Before it returns, every rule has been checked, here and by the broker.
func plan(cmd *cobra.Command, f applyFlags) (*client.Client, []change, error) {
	files, err := loadResources(f.paths, cmd.InOrStdin())
	if err != nil {
		return nil, nil, err
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return nil, nil, err
	}
	there, err := files.set.storedBy(cmd.Context(), c)
	if err != nil {
		return nil, nil, err
	}
	all, err := f.changes(cmd, c, files, there)
	return c, all, err
}

// changes returns what applying the files changes. Every rule has been checked then.
func (f applyFlags) changes(cmd *cobra.Command, c *client.Client, files *files, there stored) ([]change, error) {
	var prune []string
	if f.prune {
		prune = files.kinds()
	}
	all := files.set.changes(there, prune, f.secrets)
	if err := files.references(there, all); err != nil {
		return nil, err
	}
	return all, files.accepted(cmd.Context(), c, all, cmd.ErrOrStderr())
}

func runApply(cmd *cobra.Command, f applyFlags) error {
	c, all, err := plan(cmd, f)
	if err != nil {
		return err
	}
	if err := f.confirm(cmd, all); err != nil {
		return err
	}
	items := []Applied{}
	err = makeChanges(cmd.Context(), c, all, func(ch change) {
		items = append(items, Applied{Kind: ch.Kind, Name: ch.Name, Result: ch.Action.done(), Fields: ch.Fields})
		if output.WantsJSON(cmd) {
			return
		}
		printDone(cmd.OutOrStdout(), ch)
		if ch.Action == actionUpdate {
			printFields(cmd.OutOrStdout(), ch)
		}
	})
	if err == nil && f.wait {
		err = f.untilReady(cmd, c, all)
	}
	if output.WantsJSON(cmd) {
		// Changes that were made before an error are reported too.
		err = errors.Join(err, output.JSON(cmd, map[string][]Applied{"items": items}))
	}
	return err
}

// untilReady waits until the pools of the files have their desired sessions ready, and those
// to which a changed image or zone rolls. It waits for all of them at once, so that it says what
// keeps each of them.
func (f applyFlags) untilReady(cmd *cobra.Command, c *client.Client, all []change) error {
	end := time.Now().Add(f.timeout)
	pools, err := c.Pools(cmd.Context())
	if err != nil {
		return err
	}
	names := awaited(all, pools)
	errs, said := make([]error, len(names)), output.Lines(cmd.ErrOrStderr())
	var waits errgroup.Group
	waits.SetLimit(waitsAtOnce)
	for i, name := range names {
		waits.Go(func() error {
			errs[i] = c.UntilReady(cmd.Context(), name, client.Desired, time.Until(end), said)
			return nil
		})
	}
	_ = waits.Wait() // errs has every error
	return errors.Join(errs...)
}

// waitsAtOnce is for how many pools apply waits at a time: each asks the broker again and again.
const waitsAtOnce = 16

// awaited returns the names of the pools whose sessions applying the changes makes or replaces.
func awaited(all []change, pools []httpapi.StagingPool) []string {
	var names []string
	changed := map[string]bool{}
	for _, ch := range all {
		switch {
		case ch.Kind == blockStaging && ch.Action != actionDelete:
			names = append(names, ch.Name)
		case ch.Action == actionUpdate:
			changed[ch.Kind+" "+ch.Name] = true
		}
	}
	for _, p := range pools {
		rolls := changed[blockImage+" "+p.Image] || changed[blockZone+" "+p.Zone]
		if rolls && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Applied is the result of one resource, as greenroom apply --json prints it.
type Applied struct {
	Kind   string       `json:"kind"`
	Name   string       `json:"name"`
	Result string       `json:"result"`
	Fields []Difference `json:"fields,omitempty"`
}

// confirm asks the user before resources are deleted. It returns an error if the user
// does not confirm, or cannot be asked.
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
		return exit.BadUsage(fmt.Errorf("--prune would delete %s, and cannot ask where the resources come from standard input: say --yes", strings.Join(doomed, ", ")))
	}
	return output.Confirm(cmd, fmt.Sprintf("This deletes %s.", strings.Join(doomed, ", ")), f.yes)
}

// kinds returns the kinds of resources that the files have.
func (f *files) kinds() []string {
	var kinds []string
	for _, kind := range []string{blockZone, blockImage, blockGroup, blockStaging, blockWebhook} {
		for id := range f.declared {
			if strings.HasPrefix(id, kind+" ") {
				kinds = append(kinds, kind)
				break
			}
		}
	}
	return kinds
}
