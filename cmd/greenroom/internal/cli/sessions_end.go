package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// endFlags are the flags of greenroom sessions end.
type endFlags struct {
	filter    sessionFilter
	yes, wait bool
	timeout   time.Duration
}

func newSessionsEndCommand() *cobra.Command {
	var f endFlags
	cmd := &cobra.Command{
		Use:   "end ID... | --user ID | --staging NAME",
		Short: "End sessions: stop users', or replace unused ones",
		Long: `End sessions: a user's is stopped, and an unused one is retired, which its pool then
replaces. Ending a session that is on its way out is no error.

Name them by their ids, or select them by the same flags as greenroom sessions has, such
as all of one user, or of one pool. What the flags select is shown first, and ends once
you have confirmed it; --yes confirms.`,
		Example: `  greenroom sessions end gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions end --user u-1
  greenroom sessions end --staging demo-east --state assigned --yes`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: completeOthers(sessionIDs),
		RunE: func(cmd *cobra.Command, args []string) error { return endSessions(cmd, args, f) },
	}
	f.filter.register(cmd)
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "end what the flags select without asking")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until nothing of the sessions runs any more")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long --wait waits at most")
	return cmd
}

func endSessions(cmd *cobra.Command, ids []string, f endFlags) error {
	switch selects := isSet(cmd); {
	case len(ids) == 0 && !selects:
		return exit.BadUsage(errors.New("say which: give their IDs, or --user, --staging or another flag that selects sessions"))
	case len(ids) > 0 && selects:
		return exit.BadUsage(errors.New("give IDs or flags that select sessions, not both"))
	}
	for _, id := range ids {
		if _, err := pathArgument("ID", id); err != nil {
			return err
		}
	}
	params, err := f.filter.selected(cmd)
	if err != nil {
		return err
	}
	if slices.Contains(params.State, staging.Ended) {
		return exit.BadUsage(fmt.Errorf("--state: sessions that have %s cannot be ended", staging.Ended))
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		if ids, err = f.confirmed(cmd, c, params); err != nil {
			return err
		}
	}
	type ended struct {
		ID string `json:"id"`
	}
	items, failed := []ended{}, []error(nil)
	for _, id := range ids {
		said, err := endSession(cmd.Context(), c, id)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		items = append(items, ended{id})
		if !output.WantsJSON(cmd) {
			fmt.Fprintf(cmd.OutOrStdout(), "session %s %s\n", id, said)
		}
	}
	if f.wait {
		for _, s := range items {
			if err := untilEnded(cmd.Context(), c, s.ID, f.timeout); err != nil {
				failed = append(failed, err)
				break
			}
		}
	}
	if output.WantsJSON(cmd) {
		failed = append(failed, output.JSON(cmd, map[string][]ended{"items": items}))
	}
	return errors.Join(failed...)
}

// confirmed returns the ids of the sessions that the flags select, once the user has
// confirmed that they may end.
func (f endFlags) confirmed(cmd *cobra.Command, c *client.Client, params httpapi.ListSessionsParams) ([]string, error) {
	all, err := listSelected(cmd.Context(), c, params)
	if err != nil {
		return nil, err
	}
	var ids []string
	users := 0
	for _, s := range all.Items {
		ids = append(ids, s.ID)
		if s.User != nil {
			users++
		}
	}
	if len(ids) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No session is selected: nothing ends.")
		return nil, nil
	}
	if !f.yes {
		l := sessionListing(all, time.Now())
		for i, row := range l.rows {
			l.rows[i] = row[:len(l.header)]
		}
		if err := printTable(cmd.ErrOrStderr(), l.header, l.rows); err != nil {
			return nil, err
		}
	}
	what := fmt.Sprintf("Sessions to end: %d, of which users have %d.", len(ids), users)
	return ids, output.Confirm(cmd, what, f.yes)
}

// endSession ends one session, and returns what is said of it.
func endSession(ctx context.Context, c *client.Client, id string) (said string, err error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	now, err := c.GetSessionWithResponse(ctx, id, nil)
	if c.Answered(now, err, http.StatusOK) == nil && now.JSON200.State == staging.Ended {
		return "had ended already", nil
	}
	r, err := c.EndSessionWithResponse(ctx, id)
	return "is being ended", c.Answered(r, err, http.StatusNoContent)
}

// untilEnded waits until nothing of a session runs any more.
func untilEnded(ctx context.Context, c *client.Client, id string, limit time.Duration) error {
	return client.Poll(ctx, limit, func(ctx context.Context) (bool, string, error) {
		ctx, cancel := client.Brief(ctx)
		defer cancel()
		r, err := c.GetSessionWithResponse(ctx, id, nil)
		if err == nil && r.StatusCode() == http.StatusNotFound {
			return true, "", nil // it ended a while ago
		}
		if err := c.Answered(r, err, http.StatusOK); err != nil {
			return false, "", err
		}
		return r.JSON200.State == staging.Ended, fmt.Sprintf("session %s is still %s", id, r.JSON200.State), nil
	})
}
