package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at configuration files of the agents",
		Long: `Look at configuration files of the broker and the scaler. greenroom broker --help
shows such a file.`,
		Example: `  greenroom config check /etc/greenroom/`,
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Say what is wrong with configuration files",
		Long: `Say what is wrong with configuration files, for a broker and for a scaler:
everything at once, each with its file and line, and then exit with code 2.

Several files are read as one configuration, in which the later one counts, as by
--config of the agents. Files that they name, such as certificates and tokens, must
be there. Flags and the environment are not looked at. No server is asked.`,
		Example: `  greenroom config check greenroom.hcl
  greenroom config check /etc/greenroom/ overrides.hcl && systemctl restart greenroom-broker`,
		Args: someArguments("FILE or DIR"),
		RunE: checkConfig,
	})
	return cmd
}

func checkConfig(cmd *cobra.Command, args []string) error {
	err := config.Check(args, map[config.Kind]config.Agent{
		config.Broker: agent.Defaults(config.Broker), config.Scaler: agent.Defaults(config.Scaler), config.Gateway: agent.Defaults(config.Gateway),
	})
	var wrong *config.FilesError
	switch {
	case output.WantsJSON(cmd) && (err == nil || errors.As(err, &wrong)):
		findings := []string{}
		if wrong != nil {
			findings = wrong.Findings
		}
		if printed := output.JSON(cmd, map[string]any{"valid": err == nil, "findings": findings}); printed != nil {
			return printed
		}
	case err == nil:
		fmt.Fprintln(cmd.OutOrStdout(), "The configuration is valid.")
	}
	if err != nil {
		return exit.BadUsage(err)
	}
	return nil
}
