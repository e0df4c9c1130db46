package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
)

func newSessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List, show and end sessions",
		Long:  "List the sessions that have not ended, oldest first. See the subcommands to show or end one.",
		Example: `  greenroom sessions
  greenroom sessions show gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions end gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions -o json | jq -r '.items[] | select(.state == "assigned").id'`,
		Args: cobra.NoArgs,
		RunE: listSessions,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the sessions that have not ended, oldest first",
			Long:    "List the sessions that have not ended, oldest first, with their state, user and address.",
			Example: "  greenroom sessions list", Args: cobra.NoArgs, RunE: listSessions,
		},
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

func listSessions(cmd *cobra.Command, _ []string) error {
	c, err := clientOf(cmd)
	if err != nil {
		return err
	}
	all, err := c.listSessions(cmd.Context(), httpapi.ListSessionsParams{})
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printItems(cmd, all.raw)
	}
	now := time.Now()
	var rows [][]string
	for _, s := range all.items {
		rows = append(rows, []string{
			s.ID, string(s.State), string(s.Origin), s.Zone, s.Image, userName(s), endpoints(s.Address, s.Ports), age(s.CreatedAt, now),
		})
	}
	return printTable(cmd.OutOrStdout(), []string{"ID", "STATE", "ORIGIN", "ZONE", "IMAGE", "USER", "ADDRESS", "AGE"}, rows)
}

func showSession(cmd *cobra.Command, args []string) error {
	c, err := clientOf(cmd)
	if err != nil {
		return err
	}
	id, err := pathArgument("ID", args[0])
	if err != nil {
		return err
	}
	ctx, cancel := brief(cmd.Context())
	defer cancel()
	r, err := c.GetSessionWithResponse(ctx, id, nil)
	if err := c.answered(r, err, http.StatusOK); err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printBody(cmd, r.Body)
	}
	return printFacts(cmd.OutOrStdout(), sessionFacts(*r.JSON200))
}

func endSession(cmd *cobra.Command, args []string) error {
	c, err := clientOf(cmd)
	if err != nil {
		return err
	}
	id, err := pathArgument("ID", args[0])
	if err != nil {
		return err
	}
	ctx, cancel := brief(cmd.Context())
	defer cancel()
	r, err := c.EndSessionWithResponse(ctx, id)
	if err := c.answered(r, err, http.StatusNoContent); err != nil {
		return err
	}
	if !wantsJSON(cmd) {
		fmt.Fprintf(cmd.OutOrStdout(), "session %s is being ended\n", id)
	}
	return nil
}

// pathArgument refuses what would make another path of the API's.
func pathArgument(what, value string) (string, error) {
	if value == "" || value == "." || value == ".." {
		return "", usageError{fmt.Errorf("%s: %q names nothing", what, value)}
	}
	return value, nil
}

// userName is what to call a session's user: the name, or the id where there is none.
func userName(s httpapi.Session) string {
	if s.User == nil {
		return ""
	}
	if s.User.Name != "" {
		return s.User.Name
	}
	return s.User.ID
}

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
	return append(facts,
		fact{"address", endpoints(s.Address, s.Ports)},
		fact{"nomad allocation", s.AllocID},
		fact{"nomad node", s.NodeID},
		fact{"created", moment(s.CreatedAt)},
		fact{"ready", moment(s.ReadyAt)},
		fact{"assigned", moment(s.AssignedAt)},
		fact{"expires", moment(s.ExpiresAt)},
		fact{"ended", moment(s.EndedAt)},
	)
}
