package cli

import (
	"context"
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

func newSessionsCommand() *cobra.Command {
	cmd := newSessionListCommand("sessions")
	cmd.Short = "List, show and end sessions"
	cmd.Long = `List the sessions that have not ended, oldest first: all, or those that the flags name.
See the subcommands to show or end one.`
	cmd.Example = `  greenroom sessions
  greenroom sessions --zone east --state ready,claimed
  greenroom sessions show gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions end gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions --state assigned -o json | jq -r '.items[].id'`
	list := newSessionListCommand("list")
	list.Short = "List the sessions that have not ended, oldest first"
	list.Long = `List the sessions that have not ended, oldest first, with their state, user and
address: all, or those that the flags name.`
	list.Example = `  greenroom sessions list
  greenroom sessions list --user alice --origin on_demand`
	cmd.AddCommand(
		list,
		&cobra.Command{
			Use: "show ID", Short: "Show one session, also one that ended not long ago",
			Long:    "Show one session with all that is known of it, also one that ended not long ago, with why.",
			Example: "  greenroom sessions show gr-01jd0c8m4q2v5n7x9z3b6f8h1k -o json",
			Args:    oneArgument("ID"), ValidArgsFunction: completeFirst(sessionIDs), RunE: showSession,
		},
		&cobra.Command{
			Use: "end ID", Short: "End a session: stop a user's, or replace an unused one",
			Long: "End a session: a user's is stopped, and an unused one is retired, which its pool then replaces. " +
				"Ending a session that is on its way out is no error.",
			Example: "  greenroom sessions end gr-01jd0c8m4q2v5n7x9z3b6f8h1k",
			Args:    oneArgument("ID"), ValidArgsFunction: completeFirst(sessionIDs), RunE: endSession,
		},
	)
	return cmd
}

// newSessionListCommand returns a command that lists sessions, with flags that filter them.
func newSessionListCommand(use string) *cobra.Command {
	var wanted httpapi.ListSessionsParams
	var states []string
	cmd := &cobra.Command{
		Use: use, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range states {
				wanted.State = append(wanted.State, staging.State(s))
			}
			return listSessions(cmd, wanted)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&states, "state", nil, "only those in one of these states, such as ready,assigned")
	fl.StringVar((*string)(&wanted.Origin), "origin", "", "only those that are staged or on_demand")
	fl.StringVar(&wanted.Zone, "zone", "", "only those in this zone")
	fl.StringVar(&wanted.Image, "image", "", "only those of this image")
	fl.StringVar(&wanted.Staging, "staging", "", "only those of this staging config's pool")
	fl.StringVar(&wanted.User, "user", "", "only those of the user with this id")
	completeFlags(cmd, map[string]names{"zone": zoneNames, "image": imageNames, "staging": poolNames})
	return cmd
}

func listSessions(cmd *cobra.Command, wanted httpapi.ListSessionsParams) error {
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	all, err := c.ListSessions(cmd.Context(), wanted)
	if err != nil {
		return err
	}
	if output.WantsJSON(cmd) {
		return printItems(cmd, all.Raw)
	}
	now := time.Now()
	var rows [][]string
	for _, s := range all.Items {
		rows = append(rows, []string{
			s.ID, string(s.State), string(s.Origin), s.Zone, s.Image, userName(s), healthOf(s), endpoints(s.Address, s.Ports), age(s.CreatedAt, now),
		})
	}
	return printTable(cmd.OutOrStdout(), []string{"ID", "STATE", "ORIGIN", "ZONE", "IMAGE", "USER", "HEALTHY", "ADDRESS", "AGE"}, rows)
}

func showSession(cmd *cobra.Command, args []string) error {
	return callOn(cmd, "ID", args[0], func(ctx context.Context, c *client.Client, id string) error {
		r, err := c.GetSessionWithResponse(ctx, id, nil)
		if err := c.Answered(r, err, http.StatusOK); err != nil {
			return err
		}
		if output.WantsJSON(cmd) {
			return printBody(cmd, r.Body)
		}
		return printFacts(cmd.OutOrStdout(), sessionFacts(*r.JSON200))
	})
}

func endSession(cmd *cobra.Command, args []string) error {
	return callOn(cmd, "ID", args[0], func(ctx context.Context, c *client.Client, id string) error {
		r, err := c.EndSessionWithResponse(ctx, id)
		if err := c.Answered(r, err, http.StatusNoContent); err != nil {
			return err
		}
		if !output.WantsJSON(cmd) {
			fmt.Fprintf(cmd.OutOrStdout(), "session %s is being ended\n", id)
		}
		return nil
	})
}

// pathArgument refuses arguments that would change the path of the request.
func pathArgument(what, value string) (string, error) {
	if value == "" || value == "." || value == ".." {
		return "", exit.BadUsage(fmt.Errorf("%s: %q names nothing", what, value))
	}
	return value, nil
}

// userName returns the name of a session's user, or the id where there is no name.
func userName(s httpapi.Session) string {
	if s.User == nil {
		return ""
	}
	if s.User.Name != "" {
		return s.User.Name
	}
	return s.User.ID
}

// healthOf returns "yes", "no", or "" while a session's health is not known.
func healthOf(s httpapi.Session) string {
	switch {
	case s.Healthy == nil:
		return ""
	case *s.Healthy:
		return "yes"
	}
	return "no"
}

// sessionFacts are what greenroom sessions show and greenroom launch print of a session.
func sessionFacts(s httpapi.Session) []fact {
	facts := []fact{
		{"id", s.ID},
		{"state", string(s.State)},
		{"reason", s.Reason},
		{"origin", string(s.Origin)},
		{"zone", s.Zone},
		{"image", s.Image},
		{"staging", s.Staging},
		{"revision", s.Revision},
	}
	if s.User != nil {
		facts = append(facts, fact{"user id", s.User.ID}, fact{"user name", s.User.Name})
	}
	if s.Healthy != nil {
		facts = append(facts, fact{"healthy", fmt.Sprintf("%t since %s", *s.Healthy, moment(s.HealthySince))})
	}
	facts = append(facts, fact{"failing check", s.FailingCheck.String()})
	return append(facts,
		fact{"address", endpoints(s.Address, s.Ports)},
		fact{"nomad allocation", s.AllocID},
		fact{"nomad node", s.NodeID},
		fact{"created", moment(s.CreatedAt)},
		fact{"ready", moment(s.ReadyAt)},
		fact{"assigned", moment(s.AssignedAt)},
		fact{"not up since its restart", moment(s.RestartedAt)},
		fact{"after its restart", s.RestartFailure},
		fact{"expires", moment(s.ExpiresAt)},
		fact{"ended", moment(s.EndedAt)},
	)
}
