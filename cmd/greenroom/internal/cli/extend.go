package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// extendFlags are the flags of greenroom extend.
type extendFlags struct {
	by         time.Duration
	until, key string
}

func newExtendCommand() *cobra.Command {
	var f extendFlags
	cmd := &cobra.Command{
		Use: "extend ID --by DURATION | --until TIME", Short: "Give a user's session more time than its time limit",
		Long: `Give a user's session more time than its time limit, in all by at most the
max_extension that a group of its user sets. To ask is a use of the session, like a
keepalive.

A call that is repeated with the same --key does not extend twice, nor does one that says
--until when.`,
		Example: `  greenroom extend gr-01jd0c8m4q2v5n7x9z3b6f8h1k --by 30m
  greenroom extend gr-01jd0c8m4q2v5n7x9z3b6f8h1k --until 2026-11-24T18:00:00Z`,
		Args: oneArgument("ID"), ValidArgsFunction: completeFirst(sessionIDs),
		RunE: func(cmd *cobra.Command, args []string) error { return extendSession(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.by, "by", 0, "how much later it is to end, such as 30m")
	fl.StringVar(&f.until, "until", "", "when it is to end, such as 2026-11-24T18:00:00Z")
	fl.StringVar(&f.key, "key", "", "the Idempotency-Key, to repeat a call that failed (default: a fresh one)")
	cmd.MarkFlagsMutuallyExclusive("by", "until")
	cmd.MarkFlagsOneRequired("by", "until")
	return cmd
}

func extendSession(cmd *cobra.Command, id string, f extendFlags) error {
	body := httpapi.Extension{By: staging.Duration(f.by)}
	if f.until != "" {
		at, err := time.Parse(time.RFC3339, f.until)
		if err != nil {
			return exit.BadUsage(fmt.Errorf("--until: must be a time such as 2026-11-24T18:00:00Z, is %q", f.until))
		}
		body.Until = at
	}
	if f.key == "" {
		f.key = rand.Text()
	}
	return callOn(cmd, "ID", id, func(ctx context.Context, c *client.Client, id string) error {
		r, err := c.ExtendSessionWithResponse(ctx, id, &httpapi.ExtendSessionParams{IdempotencyKey: f.key}, body)
		if err := c.Answered(r, err, http.StatusOK); err != nil {
			return err
		}
		if output.WantsJSON(cmd) {
			return printBody(cmd, r.Body)
		}
		return printFacts(cmd.OutOrStdout(), []fact{
			{"session", r.JSON200.ID},
			{"ends", moment(r.JSON200.EndsAt)},
			{"may be extended until", moment(r.JSON200.ExtendableUntil)},
			{"ends unless it is used", moment(r.JSON200.IdleEndsAt)},
		})
	})
}
