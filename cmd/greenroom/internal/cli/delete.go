package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// deleteFlags are the flags of greenroom delete.
type deleteFlags struct {
	wait    bool
	timeout time.Duration
}

func newDeleteCommand() *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{
		Use:   "delete KIND NAME...",
		Short: "Delete zones, images, groups and staging configs",
		Long: `Delete resources by name: of one KIND, which is zone, image, group or staging, or of
several kinds as KIND/NAME. They are deleted in the order in which they are named,
and one that cannot be deleted does not keep the others: its error follows.

A zone or an image that a staging config names is in use, and refused: name the
staging config first. A deleted staging config's unused sessions are retired, and
sessions that users have stay. --wait waits until the unused ones have ended.`,
		Example: `  greenroom delete staging demo-east demo-west --wait
  greenroom delete staging/demo-east image/demo group/students`,
		Args:              someArguments("KIND and NAME, or KIND/NAME"),
		ValidArgsFunction: completeDelete,
		RunE:              func(cmd *cobra.Command, args []string) error { return runDelete(cmd, args, f) },
	}
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the unused sessions of what was deleted have ended")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long --wait waits at most")
	return cmd
}

// namedResource is a resource that an argument names.
type namedResource struct {
	kind kind
	name string
}

// namedIn returns the resources that arguments name, as KIND NAME... or as KIND/NAME...
func namedIn(args []string) ([]namedResource, error) {
	var all []namedResource
	if !strings.Contains(args[0], "/") {
		k, err := kindOf(args[0])
		if err != nil {
			return nil, err
		}
		if len(args) == 1 {
			return nil, fmt.Errorf("name at least one %s", k.name)
		}
		for _, name := range args[1:] {
			all = append(all, namedResource{k, name})
		}
		return all, nil
	}
	for _, arg := range args {
		word, name, ok := strings.Cut(arg, "/")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not KIND/NAME, as the first argument is", arg)
		}
		k, err := kindOf(word)
		if err != nil {
			return nil, err
		}
		all = append(all, namedResource{k, name})
	}
	return all, nil
}

func runDelete(cmd *cobra.Command, args []string, f deleteFlags) error {
	named, err := namedIn(args)
	if err != nil {
		return exit.BadUsage(err)
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range named {
		if err := r.kind.remove(cmd.Context(), c, r.name); err != nil {
			failed = append(failed, fmt.Errorf("%s %q: %w", r.kind.name, r.name, err))
			continue
		}
		if f.wait && r.kind.unusedOf != nil {
			if err := untilUnusedEnded(cmd.Context(), c, r, f.timeout); err != nil {
				return errors.Join(append(failed, err)...)
			}
		}
		if !output.WantsJSON(cmd) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %q deleted\n", r.kind.name, r.name)
		}
	}
	return errors.Join(failed...)
}

// unusedStates are the states of sessions that nobody has.
var unusedStates = []staging.State{staging.Pending, staging.Starting, staging.Ready, staging.Retiring}

func untilUnusedEnded(ctx context.Context, c *client.Client, r namedResource, limit time.Duration) error {
	filter := r.kind.unusedOf(r.name)
	filter.State, filter.Origin = unusedStates, httpapi.Origin(staging.Staged)
	return client.Poll(ctx, limit, func(ctx context.Context) (bool, string, error) {
		left, err := c.ListSessions(ctx, filter)
		return len(left.Items) == 0, fmt.Sprintf("%s %q is deleted, and %d of its unused sessions have not ended", r.kind.name, r.name, len(left.Items)), err
	})
}

// completeDelete completes a kind, and then names of that kind.
func completeDelete(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeFlag(kindNames)(cmd, args, begun)
	}
	k, err := kindOf(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeOthers(k.names)(cmd, args[1:], begun)
}
