package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/buildinfo"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program, the commit that it was built from with its date,
and the Go and the platform that it was built with and for. No server is asked.`,
		Example: `  greenroom version
  greenroom version -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := buildinfo.Read()
			if output.WantsJSON(cmd) {
				return output.JSON(cmd, b)
			}
			of := ""
			if b.Commit != "" {
				of = fmt.Sprintf(" (commit %s of %s)", b.Commit, b.Date)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "greenroom %s%s, %s, %s\n", b.Version, of, b.Go, b.Platform)
			return err
		},
	}
}
