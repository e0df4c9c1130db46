package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

func newCompletionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that makes a shell complete greenroom's commands",
		Long: `Print a script that makes a shell complete greenroom's commands and flags, and the
names of images, zones, groups, staging configs, sessions, users and tokens, for which
the broker is asked (GREENROOM_ADDR, GREENROOM_TOKEN).`,
		Example: `  source <(greenroom completion bash)
  greenroom completion zsh > "${fpath[1]}/_greenroom"
  greenroom completion fish > ~/.config/fish/completions/greenroom.fish
  greenroom completion powershell | Out-String | Invoke-Expression`,
		Args:      cobra.MatchAll(oneArgument("SHELL"), cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return exit.BadUsage(fmt.Errorf("no shell %q", args[0]))
		},
	}
}

// completionTimeout bounds how long a shell waits for names. A broker that does not answer
// in time completes nothing.
const completionTimeout = 2 * time.Second

// completeFirst completes a command's first argument with names.
func completeFirst(of names) cobra.CompletionFunc {
	complete := completeFlag(of)
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, begun)
	}
}

// completeOthers completes arguments with those names that are not arguments yet.
func completeOthers(of names) cobra.CompletionFunc {
	complete := completeFlag(of)
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		found, directive := complete(cmd, args, begun)
		return slices.DeleteFunc(found, func(name string) bool {
			name, _, _ = strings.Cut(name, "\t")
			return slices.Contains(args, name)
		}), directive
	}
}

// completeFlag completes a flag's value with names.
func completeFlag(of names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := client.FromFlags(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(cmd)), completionTimeout)
		defer cancel()
		found, err := of(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// completeFlags registers the completion of a command's flags.
func completeFlags(cmd *cobra.Command, flags map[string]names) {
	for flag, of := range flags {
		if err := cmd.RegisterFlagCompletionFunc(flag, completeFlag(of)); err != nil {
			panic("greenroom: " + err.Error())
		}
	}
}

// namedByFlags are the flags that name the same in every command.
var namedByFlags = map[string]names{"zone": zoneNames, "image": imageNames, "staging": poolNames, "group": groupNames, "user-id": userIDs}

// completeNames registers the completion of the flags of cmd, and of every command below it,
// that name a resource and have none of their own.
func completeNames(cmd *cobra.Command) {
	for flag, of := range namedByFlags {
		if cmd.LocalFlags().Lookup(flag) == nil {
			continue
		}
		if _, has := cmd.GetFlagCompletionFunc(flag); !has {
			completeFlags(cmd, map[string]names{flag: of})
		}
	}
	for _, sub := range cmd.Commands() {
		completeNames(sub)
	}
}
