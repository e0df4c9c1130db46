package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/access"
)

func newUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Lock users out, and list and unlock them",
		Long: `Lock users out, and list and unlock them. A locked user has no session, gets none,
and cannot log in. A user is named by id, as greenroom sessions has it.`,
		Example: `  greenroom user lock u-1 --reason "the laptop was stolen"
  greenroom user list
  greenroom user unlock u-1`,
	}
	cmd.AddCommand(newUserLockCommand(), newUserUnlockCommand(), newUserListCommand())
	return cmd
}

func newUserLockCommand() *cobra.Command {
	var r access.UserLockRequest
	cmd := &cobra.Command{
		Use:   "lock NAME",
		Short: "Lock a user, and end all of the user's sessions",
		Long: `Lock a user, named by id, and end all of the user's sessions. From then on no launch
gives the user a session, at any broker. The user's own tokens, logins and access
checks are refused within a second or so.`,
		Example: `  greenroom user lock u-1
  greenroom user lock u-1 --reason "the laptop was stolen"`,
		Args: oneArgument("user's id"), ValidArgsFunction: completeFirst(userIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.UserID = args[0]
			if err := r.Validate(); err != nil {
				return exit.BadUsage(err)
			}
			c, err := client.FromFlags(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), lockTimeout)
			defer cancel()
			locked, err := c.LockUserWithResponse(ctx, httpapi.LockUserRequest{UserID: r.UserID, Reason: r.Reason})
			if err := c.Answered(locked, err, http.StatusOK, http.StatusCreated); err != nil {
				return err
			}
			if output.WantsJSON(cmd) {
				return printBody(cmd, locked.Body)
			}
			result, verb := locked.JSON201, "is locked"
			if result == nil {
				result, verb = locked.JSON200, "was locked before"
			}
			return printLocked(cmd, *result, verb)
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for other administrators")
	return cmd
}

// lockTimeout is longer than a broker takes to end a user's sessions.
const lockTimeout = 2 * time.Minute

func printLocked(cmd *cobra.Command, r httpapi.LockedUserResult, verb string) error {
	text := fmt.Sprintf("user %s %s", output.Printable(r.UserID), verb)
	if n := len(r.EndedSessions); n > 0 {
		text += fmt.Sprintf("; ended %d of the user's sessions: %s", n, strings.Join(r.EndedSessions, ", "))
	}
	if r.Ending {
		text += "; some may not have ended yet, since a server did not answer, and the brokers go on ending them"
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), text)
	return err
}

func newUserUnlockCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unlock NAME",
		Short:   "Unlock a user, who may launch again within a second or so",
		Long:    "Unlock a user, named by id. The user may launch again within a second or so. Sessions that\nended do not come back.",
		Example: `  greenroom user unlock u-1`,
		Args:    oneArgument("user's id, as greenroom user list has it"), ValidArgsFunction: completeFirst(lockedUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.UnlockUserWithResponse(ctx, &httpapi.UnlockUserParams{UserID: args[0]})
				if err := c.Answered(r, err, http.StatusNoContent); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "user %s is unlocked\n", output.Printable(args[0]))
				return err
			})
		},
	}
}

func newUserListCommand() *cobra.Command {
	return asList(&cobra.Command{
		Use:   "list",
		Short: "List the locked users, the latest last",
		Long:  "List the locked users, the latest last, with who locked each, when and why.",
		Example: `  greenroom user list
  greenroom user list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.ListLockedUsersWithResponse(ctx)
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				l := listing{header: []string{"USER", "LOCKED BY", "AGE", "SESSIONS", "REASON"}}
				if l.raw, err = itemsOf(r.Body); err != nil {
					return err
				}
				now := time.Now()
				for _, u := range r.JSON200.Items {
					sessions := "ending"
					if u.SessionsEnded {
						sessions = "ended"
					}
					l.rows = append(l.rows, []string{u.UserID, u.LockedBy, age(u.LockedAt, now), sessions, u.Reason})
				}
				return l.print(cmd)
			})
		},
	})
}
