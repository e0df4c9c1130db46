package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
		Short: "Create, list, rotate and revoke the tokens of callers",
		Long: `Create, list, rotate and revoke the tokens of callers. A token has a role:

  admin     everything
  launcher  launches for any user, reads and ends any session, reads the resources
  viewer    reads

It may have a scope as well: images, zones, groups, and what the ids of its users begin with.
What is outside does not exist for it.

What is stored of a token does not have its secret, which is printed once.`,
		Example: `  greenroom token create --name portal --role launcher --expires-in 720h --rate 5
  greenroom token create --name acme --role launcher --image office --zone east --user-prefix acme-
  greenroom token list
  greenroom token rotate tk-0f3a9c51d2e84b7760aa --overlap 24h
  greenroom token revoke tk-0f3a9c51d2e84b7760aa`,
	}
	cmd.AddCommand(newTokenCreateCommand(), newTokenListCommand(), newTokenRotateCommand(), newTokenRevokeCommand())
	return cmd
}

// noteOpenAccess says so if the broker demands no token: then all may do everything, with any
// token or none.
func noteOpenAccess(ctx context.Context, cmd *cobra.Command, c *client.Client) {
	self, err := c.GetSelfWithResponse(ctx)
	if c.Answered(self, err, http.StatusOK) == nil && !self.JSON200.Guarded {
		fmt.Fprintln(cmd.ErrOrStderr(), "This broker's access is open: it demands no token, and a token's role and scope have no effect there. Run it with --access to change that.")
	}
}

func newTokenCreateCommand() *cobra.Command {
	var r access.TokenRequest
	var role, expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a token and print its secret, once",
		Long: `Create a token and print its secret, once: only its hash is kept, and nobody can
print it again. Revoke it by its accessor when it is lost.

With --image, --zone, --group or --user-prefix the token has a scope: it launches, reads
and, as an administrator's, changes only what is within. With --group, each of its
launches must name one of the groups. Without any of them it reaches everything.

Without --expires-in it works for as long as the broker's max_token_life allows, or for
ever where the broker sets none.`,
		Example: `  greenroom token create --name portal --role launcher
  greenroom token create --name acme --role launcher --image office --image browser \
    --zone east --group acme --user-prefix acme-
  greenroom token create --name dashboard --role viewer --expires-in 720h -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.Role = access.Role(role)
			if expires != "" {
				var err error
				if r.ExpiresIn, err = staging.ParseDuration(expires); err != nil || r.ExpiresIn <= 0 {
					return exit.BadUsage(fmt.Errorf("--expires-in: must be a duration such as 720h, is %q", expires))
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
			made, err := c.CreateTokenWithResponse(ctx, httpapi.TokenRequest{
				Name: r.Name, Role: r.Role, ExpiresIn: r.ExpiresIn, Rate: r.Rate, Scope: r.Scope,
			})
			if err := c.Answered(made, err, http.StatusCreated); err != nil {
				return err
			}
			noteOpenAccess(ctx, cmd, c)
			return printCreated(cmd, made.Body, *made.JSON201)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Name, "name", "", "what the token is for")
	f.StringVar(&role, "role", "", "admin, launcher or viewer")
	f.StringVar(&expires, "expires-in", "", "how long it works, such as 720h")
	// Its name of before.
	f.StringVar(&expires, "expires", "", "how long it works, such as 720h")
	_ = f.MarkHidden("expires") // it fails for unknown flags alone
	f.Float64Var(&r.Rate, "rate", 0, "the launches a second that each broker takes from it; 0 for no bound")
	f.StringSliceVar(&r.Scope.Images, "image", nil, "an image that it reaches; may be repeated; without it all")
	f.StringSliceVar(&r.Scope.Zones, "zone", nil, "a zone that it reaches; may be repeated; without it all")
	f.StringSliceVar(&r.Scope.Groups, "group", nil, "a group that its launches may name, and one of which they must; may be repeated; without it all")
	f.StringVar(&r.Scope.UserPrefix, "user-prefix", "", "what the ids of its users begin with; without it all users")
	completeFlags(cmd, map[string]names{"role": fixed(string(access.Admin), string(access.Launcher), string(access.Viewer))})
	return cmd
}

// printCreated prints a new token: the secret alone on standard output, for scripts, and the
// rest on standard error, for people.
func printCreated(cmd *cobra.Command, body []byte, t httpapi.CreatedToken) error {
	if output.WantsJSON(cmd) {
		return printBody(cmd, body)
	}
	errs := cmd.ErrOrStderr()
	end := ""
	if !t.ExpiresAt.IsZero() {
		end = ", works until " + moment(t.ExpiresAt)
	}
	fmt.Fprintf(errs, "token %s, role %s, reaches %s%s. Its secret follows, and is not shown again:\n", t.Accessor, t.Role, t.Scope, end)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), t.Secret)
	return err
}

func newTokenListCommand() *cobra.Command {
	return asList(&cobra.Command{
		Use:   "list",
		Short: "List the tokens, oldest first",
		Long: `List the tokens, oldest first, with what they reach, when they end and when each was used
last, to a minute or so. Their secrets are not kept.`,
		Example: `  greenroom token list
  greenroom token list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.ListTokensWithResponse(ctx)
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				l := listing{header: []string{"ACCESSOR", "NAME", "ROLE", "SCOPE", "AGE", "EXPIRES", "LAST USED", "ROTATED", "RATE"}}
				if l.raw, err = itemsOf(r.Body); err != nil {
					return err
				}
				now := time.Now()
				for _, t := range r.JSON200.Items {
					rate := ""
					if t.Rate > 0 {
						rate = strconv.FormatFloat(t.Rate, 'g', -1, 64) + "/s"
					}
					expires := moment(t.ExpiresAt)
					if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
						expires += " (expired)"
					}
					rotated := ""
					if !t.RotatedAt.IsZero() {
						rotated = age(t.RotatedAt, now)
						if !t.OverlapUntil.IsZero() {
							rotated += " (old secret until " + moment(t.OverlapUntil) + ")"
						}
					}
					used := "never"
					if !t.LastUsed.IsZero() {
						used = age(t.LastUsed, now)
					}
					l.rows = append(l.rows, []string{t.Accessor, t.Name, string(t.Role), t.Scope.String(), age(t.CreatedAt, now), expires, used, rotated, rate})
				}
				return l.print(cmd)
			})
		},
	})
}

func newTokenRotateCommand() *cobra.Command {
	var overlap string
	cmd := &cobra.Command{
		Use:   "rotate ACCESSOR|NAME",
		Short: "Give a token a new secret and print it, once",
		Long: `Give a token, named by its accessor, or by its name if no other token has it, a new
secret and print it, once. Role, scope and rate stay, and a token that expires works for
as long again. The old secret works on for the overlap, so that the programs that have
it can be given the new one meanwhile.

With --overlap 0s every old secret ends at once, for one that was lost.`,
		Example: `  greenroom token rotate tk-0f3a9c51d2e84b7760aa
  greenroom token rotate tk-0f3a9c51d2e84b7760aa --overlap 0s -o json`,
		Args: oneArgument("accessor or name, as greenroom token list has it"), ValidArgsFunction: completeFirst(tokenAccessors),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := staging.ParseDuration(overlap)
			if err != nil || d < 0 || d.Std() > access.MaxOverlap {
				return exit.BadUsage(fmt.Errorf("--overlap: must be a duration between 0s and %s, is %q", access.MaxOverlap, overlap))
			}
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				accessor, err := accessorOf(ctx, c, args[0])
				if err != nil {
					return err
				}
				r, err := c.RotateTokenWithResponse(ctx, accessor, httpapi.TokenRotation{Overlap: d.Std().String()})
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				if t := r.JSON200; !output.WantsJSON(cmd) && !t.OverlapUntil.IsZero() {
					fmt.Fprintf(cmd.ErrOrStderr(), "the old secret works until %s\n", moment(t.OverlapUntil))
				}
				return printCreated(cmd, r.Body, *r.JSON200)
			})
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", access.DefaultOverlap.String(), "how long the old secret works on, at most 168h; 0s ends it at once")
	return cmd
}

func newTokenRevokeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke ACCESSOR|NAME...",
		Short: "Revoke tokens; they stop working within a second or so",
		Long: `Revoke tokens, each named by its accessor, or by its name if no other token has it. They
stop working within a second or so.

If no administrator's token that reaches everything would be left, this asks first.`,
		Example: `  greenroom token revoke tk-0f3a9c51d2e84b7760aa
  greenroom token revoke portal dashboard --yes`,
		Args: someArguments("accessor or name, as greenroom token list has it"), ValidArgsFunction: completeOthers(tokenAccessors),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client.FromFlags(cmd)
			if err != nil {
				return err
			}
			return revokeTokens(cmd, c, args, yes)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "revoke the last administrator's token without asking")
	return cmd
}

// revokeTokens revokes the named tokens, as far as it can. It revokes none if a name is none of
// a token's.
func revokeTokens(cmd *cobra.Command, c *client.Client, named []string, yes bool) error {
	ctx, cancel := client.Brief(cmd.Context())
	defer cancel()
	var accessors []string
	for _, name := range named {
		accessor, err := accessorOf(ctx, c, name)
		if err != nil {
			return err
		}
		accessors = append(accessors, accessor)
	}
	last, err := leavesNoAdmin(ctx, c, accessors)
	if err != nil {
		return err
	}
	if last {
		if err := output.Confirm(cmd, "No administrator's token that reaches everything is left then.", yes); err != nil {
			return err
		}
	}
	var failed []error
	for _, accessor := range accessors {
		if err := revokeToken(cmd.Context(), c, accessor); err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "token %s is revoked\n", accessor)
	}
	return errors.Join(failed...)
}

func revokeToken(ctx context.Context, c *client.Client, accessor string) error {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := c.RevokeTokenWithResponse(ctx, accessor)
	return c.Answered(r, err, http.StatusNoContent)
}

// leavesNoAdmin reports whether tokens are the last ones of administrators that work and reach
// everything.
func leavesNoAdmin(ctx context.Context, c *client.Client, revoked []string) (bool, error) {
	r, err := c.ListTokensWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return false, err
	}
	takes, now := false, time.Now()
	for _, t := range r.JSON200.Items {
		if t.Role != access.Admin || !t.Scope.IsZero() || !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
			continue
		}
		if !slices.Contains(revoked, t.Accessor) {
			return false, nil
		}
		takes = true
	}
	return takes, nil
}

// accessorPrefix begins every accessor.
const accessorPrefix = "tk-"

// accessorOf returns the accessor of the token that an argument names: by its accessor, or by
// a name that no other token has.
func accessorOf(ctx context.Context, c *client.Client, named string) (string, error) {
	if strings.HasPrefix(named, accessorPrefix) {
		return named, nil
	}
	r, err := c.ListTokensWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return "", err
	}
	var found []string
	for _, t := range r.JSON200.Items {
		if t.Name == named {
			found = append(found, t.Accessor)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &absentError{fmt.Errorf("there is no token with the name or accessor %q", named)}
	}
	return "", exit.BadUsage(fmt.Errorf("several tokens have the name %q, name one by its accessor: %s", named, strings.Join(found, ", ")))
}
