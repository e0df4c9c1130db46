package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
)

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

// about returns an error about the resource, which its text names once.
func (r namedResource) about(err error) error {
	var refused *client.ProblemError
	if errors.As(err, &refused) && strings.Contains(refused.Detail, fmt.Sprintf("%q", r.name)) {
		return err
	}
	return fmt.Errorf("%s %q: %w", r.kind.name, r.name, err)
}

// completeResources completes arguments that name resources: a kind, perhaps other words, and
// then names of that kind; or KIND/NAME each.
func completeResources(others ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		word, _, slash := strings.Cut(begun, "/")
		switch {
		case slash:
			k, err := kindOf(word)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeOthers(after(word+"/", k.names))(cmd, args, begun)
		case len(args) == 0:
			found, directive := completeFlag(kindNames)(cmd, args, begun)
			return append(found, others...), directive
		case strings.Contains(args[0], "/"):
			found, directive := completeFlag(kindNames)(cmd, args, begun)
			for i := range found {
				found[i] += "/"
			}
			return found, directive | cobra.ShellCompDirectiveNoSpace
		}
		k, err := kindOf(args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeOthers(k.names)(cmd, args[1:], begun)
	}
}

// after returns names with a text before each.
func after(prefix string, of names) names {
	return func(ctx context.Context, c *client.Client) ([]string, error) {
		found, err := of(ctx, c)
		for i := range found {
			found[i] = prefix + found[i]
		}
		return found, err
	}
}
