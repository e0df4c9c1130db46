package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newSecretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "secrets",
		Short:   "Rotate the keys that sign sessions' tokens and logins",
		Long:    "Rotate the keys that sign sessions' tokens and logins. Nothing prints them.",
		Example: "  greenroom secrets rotate",
	}
	cmd.AddCommand(newSecretsRotateCommand())
	return cmd
}

func newSecretsRotateCommand() *cobra.Command {
	var overlap string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the keys that sign sessions' tokens and logins; no session ends",
		Long: `Replace the keys that sign sessions' tokens and logins to the page. No session ends.
What the old keys signed is accepted for the overlap. After that, a user with an
older token needs a new one for the same session, which the launch answers with when
it is repeated with its Idempotency-Key, and operators log in again.

Choose an overlap that is longer than sessions last. Where a key has become known
to others, use --overlap 0s: everything that was signed before is refused at once.
Rotate again as often as you like: keys that are retired already end with the new
overlap at the latest.`,
		Example: `  greenroom secrets rotate
  greenroom secrets rotate --overlap 168h
  greenroom secrets rotate --overlap 0s -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := staging.ParseDuration(overlap)
			if err == nil {
				err = staging.ValidateOverlap(d)
			}
			if err != nil {
				return exit.BadUsage(fmt.Errorf("--overlap: %w", err))
			}
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.RotateSecretsWithResponse(ctx, httpapi.SecretRotationRequest{Overlap: d})
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				if output.WantsJSON(cmd) {
					return printBody(cmd, r.Body)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "new keys sign sessions' tokens and logins from %s on; what older keys signed is accepted until %s\n",
					moment(r.JSON200.SignsFrom), moment(r.JSON200.AcceptedUntil))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", staging.DefaultOverlap.String(), "how long what the old keys signed is accepted, from 0s to "+staging.MaxOverlap.String())
	return cmd
}
