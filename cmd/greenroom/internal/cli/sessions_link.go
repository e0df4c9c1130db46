package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

func newSessionsLinkCommand() *cobra.Command {
	var params httpapi.LinkSessionParams
	cmd := &cobra.Command{
		Use: "link ID", Short: "Make a fresh link by which a session's user opens it",
		Long: `Make a fresh link by which a session's user opens it through a gateway. It opens the
session once, within a minute, for the browser that follows it: give it to nobody else.
The broker must know a gateway.

With -o name, only the link is printed.`,
		Example: `  greenroom sessions link gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions link gr-01jd0c8m4q2v5n7x9z3b6f8h1k --port metrics --path /graph -o name`,
		Args: oneArgument("ID"), ValidArgsFunction: completeFirst(sessionIDs),
		RunE: func(cmd *cobra.Command, args []string) error { return linkSession(cmd, args[0], params) },
	}
	fl := cmd.Flags()
	fl.StringVar(&params.Port, "port", "", "the label of the port to open (default: http, else the first by label)")
	fl.StringVar(&params.Path, "path", "", "the path at which it is opened (default: the first page)")
	output.AllowFormats(cmd, output.Name)
	return cmd
}

func linkSession(cmd *cobra.Command, id string, params httpapi.LinkSessionParams) error {
	return callOn(cmd, "ID", id, func(ctx context.Context, c *client.Client, id string) error {
		r, err := c.LinkSessionWithResponse(ctx, id, &params)
		if err := c.Answered(r, err, http.StatusOK); err != nil {
			return err
		}
		switch {
		case output.WantsJSON(cmd):
			return printBody(cmd, r.Body)
		case output.Format(cmd) == output.Name:
			_, err := fmt.Fprintln(cmd.OutOrStdout(), r.JSON200.URL)
			return err
		}
		return printFacts(cmd.OutOrStdout(), []fact{{"connect", r.JSON200.URL}, {"counts until", moment(r.JSON200.ExpiresAt)}})
	})
}
