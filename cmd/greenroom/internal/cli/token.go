package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke the tokens of callers",
		Long: `Create, list and revoke the tokens of callers. A token has a role:

  admin     everything
  launcher  launches for any user, reads and ends any session, reads the resources
  viewer    reads

What is stored of a token does not have its secret, which is printed once.`,
		Example: `  greenroom token create --name portal --role launcher --expires 720h --rate 5
  greenroom token list
  greenroom token revoke tk-0f3a9c51d2e84b7760aa`,
	}
	cmd.AddCommand(newTokenCreateCommand(), newTokenListCommand(), newTokenRevokeCommand())
	return cmd
}

func newTokenCreateCommand() *cobra.Command {
	var r access.TokenRequest
	var role, expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a token and print its secret, once",
		Long: `Create a token and print its secret, once: only its hash is kept, and nobody can
print it again. Revoke it by its accessor when it is lost.`,
		Example: `  greenroom token create --name portal --role launcher
  greenroom token create --name dashboard --role viewer --expires 720h -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.Role = access.Role(role)
			if expires != "" {
				var err error
				if r.ExpiresIn, err = staging.ParseDuration(expires); err != nil || r.ExpiresIn <= 0 {
					return exit.BadUsage(fmt.Errorf("--expires: must be a duration such as 720h, is %q", expires))
				}
			}
			if err := r.Validate(); err != nil {
				return exit.BadUsage(err)
			}
			c, err := client.FromFlags(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := client.Brief(cmd.Context())
			defer cancel()
			made, err := c.CreateTokenWithResponse(ctx, httpapi.TokenRequest{Name: r.Name, Role: r.Role, ExpiresIn: r.ExpiresIn, Rate: r.Rate})
			if err := c.Answered(made, err, http.StatusCreated); err != nil {
				return err
			}
			return printCreated(cmd, made.Body, *made.JSON201)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Name, "name", "", "what the token is for")
	f.StringVar(&role, "role", "", "admin, launcher or viewer")
	f.StringVar(&expires, "expires", "", "how long it works, such as 720h; without it for ever")
	f.Float64Var(&r.Rate, "rate", 0, "the launches a second that each broker takes from it; 0 for no bound")
	return cmd
}

// printCreated prints a new token: the secret alone on standard output, for scripts, and the
// rest on standard error, for people.
func printCreated(cmd *cobra.Command, body []byte, t httpapi.CreatedToken) error {
	if output.WantsJSON(cmd) {
		return printBody(cmd, body)
	}
	errs := cmd.ErrOrStderr()
	fmt.Fprintf(errs, "token %s, role %s. Its secret follows, and is not shown again:\n", t.Accessor, t.Role)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), t.Secret)
	return err
}

func newTokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens, oldest first",
		Long:  "List the tokens, oldest first, with role and expiry. Their secrets are not kept.",
		Example: `  greenroom token list
  greenroom token list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.ListTokensWithResponse(ctx)
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				if output.WantsJSON(cmd) {
					return printBody(cmd, r.Body)
				}
				now := time.Now()
				var rows [][]string
				for _, t := range r.JSON200.Items {
					rate := ""
					if t.Rate > 0 {
						rate = strconv.FormatFloat(t.Rate, 'g', -1, 64) + "/s"
					}
					expires := moment(t.ExpiresAt)
					if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
						expires += " (expired)"
					}
					rows = append(rows, []string{t.Accessor, t.Name, string(t.Role), age(t.CreatedAt, now), expires, rate})
				}
				return printTable(cmd.OutOrStdout(), []string{"ACCESSOR", "NAME", "ROLE", "AGE", "EXPIRES", "RATE"}, rows)
			})
		},
	}
}

func newTokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ACCESSOR",
		Short:   "Revoke a token; it stops working within a second or so",
		Long:    "Revoke a token, named by its accessor. It stops working within a second or so.",
		Example: `  greenroom token revoke tk-0f3a9c51d2e84b7760aa`,
		Args:    oneArgument("accessor, as greenroom token list has it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.RevokeTokenWithResponse(ctx, args[0])
				if err := c.Answered(r, err, http.StatusNoContent); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "token %s is revoked\n", args[0])
				return err
			})
		},
	}
}
