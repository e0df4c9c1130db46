package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
)

func newBootstrapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bootstrap",
		Short: "Create the first administrator's token, once",
		Long: `Create the first administrator's token of a broker that runs with --access, and
print its secret, which is shown once. It works once for all brokers of a cluster;
a second call says how to recover where the token is lost.

Do it before others can reach the broker: whoever is first is the administrator. A
broker with GREENROOM_TOKEN, or an issuer that has administrators, demands theirs.`,
		Example: `  greenroom bootstrap
  export GREENROOM_TOKEN=$(greenroom bootstrap -o json | jq -r .secret)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.BootstrapWithResponse(ctx)
				if err := c.Answered(r, err, http.StatusCreated); err != nil {
					return err
				}
				return printCreated(cmd, r.Body, *r.JSON201)
			})
		},
	}
}
