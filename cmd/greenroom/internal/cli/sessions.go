package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	cmd.Short = "List, show, open and end sessions"
	cmd.Long = `List the sessions that have not ended, oldest first: all, or those that the flags name.
See the subcommands to show one, to make a link to it, or to end it.

With --state ended, list those that have ended, the last one first, each with why. The
broker keeps what is known of a session for an hour after its end, of 10,000 at most.

With --failed, list those of them alone that failed: could not be placed or started, ended
by themselves, or did not pass their checks.

With --revision old, list those whose staging config has another revision now: what is
still to be replaced, and users' sessions, which stay until they end.`
	cmd.Example = `  greenroom sessions
  greenroom sessions --zone east --state ready,claimed
  greenroom sessions --state ended --staging demo-east
  greenroom sessions --failed --image demo
  greenroom sessions show gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions link gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions end gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom sessions --state assigned -o name
  greenroom sessions --revision 6f1d0a9c2b7e -o wide
  greenroom sessions --revision old --state assigned`
	list := newSessionListCommand("list")
	list.Short = "List the sessions that have not ended, oldest first, or those that have"
	list.Long = `List the sessions that have not ended, oldest first, with their state, user and
address: all, or those that the flags name. With --state ended, list those that have
ended, the last one first, each with why.`
	list.Example = `  greenroom sessions list
  greenroom sessions list --user alice --origin on_demand`
	cmd.AddCommand(
		list,
		&cobra.Command{
			Use: "show ID", Short: "Show one session, also one that ended within the last hour",
			Long:    "Show one session with all that is known of it, also one that ended within the last hour, with why.",
			Example: "  greenroom sessions show gr-01jd0c8m4q2v5n7x9z3b6f8h1k -o json",
			Args:    oneArgument("ID"), ValidArgsFunction: completeFirst(sessionIDs), RunE: showSession,
		},
		newSessionsLinkCommand(),
		newSessionsEndCommand(),
	)
	return cmd
}

// newSessionListCommand returns a command that lists sessions, with flags that filter them.
func newSessionListCommand(use string) *cobra.Command {
	var f sessionFilter
	cmd := asList(&cobra.Command{
		Use: use, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			params, err := f.selected(cmd)
			if err != nil {
				return err
			}
			c, err := client.FromFlags(cmd)
			if err != nil {
				return err
			}
			all, err := listSelected(cmd.Context(), c, params)
			if err != nil {
				return err
			}
			if f.failed {
				all = only(all, func(s httpapi.Session) bool { return staging.Failed(s.Reason) })
			}
			if slices.Contains(params.State, staging.Ended) {
				return endedListing(all, time.Now()).print(cmd)
			}
			return sessionListing(all, time.Now()).print(cmd)
		},
	})
	f.register(cmd)
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only those that ended because they failed: before a user had them, and neither used nor expired nor replaced")
	return cmd
}

func sessionListing(all client.List[httpapi.Session], now time.Time) listing {
	l := listing{
		raw:    all.Raw,
		header: []string{"ID", "STATE", "ORIGIN", "ZONE", "IMAGE", "USER", "USER ID", "HEALTHY", "ADDRESS", "AGE"},
		wide:   []string{"STAGING", "REVISION", "NODE", "VISITED", "ENDS"},
	}
	for _, s := range all.Items {
		id := ""
		if s.User != nil {
			id = s.User.ID
		}
		l.rows = append(l.rows, []string{
			s.ID, string(s.State), string(s.Origin), s.Zone, s.Image, userName(s), id, healthOf(s), endpoints(s.Address, s.Ports), age(s.CreatedAt, now),
			s.Staging, s.Revision, s.NodeID, visited(s), moment(s.EndsAt),
		})
	}
	return l
}

// endedListing is the list of sessions that have ended.
func endedListing(all client.List[httpapi.Session], now time.Time) listing {
	l := listing{
		raw:    all.Raw,
		header: []string{"ID", "ENDED", "ORIGIN", "ZONE", "IMAGE", "STAGING", "USER", "USER ID", "KEPT", "REASON"},
		wide:   []string{"LIVED", "REVISION", "NODE"},
	}
	for _, s := range all.Items {
		id := ""
		if s.User != nil {
			id = s.User.ID
		}
		l.rows = append(l.rows, []string{
			s.ID, age(s.EndedAt, now) + " ago", string(s.Origin), s.Zone, s.Image, s.Staging, userName(s), id, keptCell(s), s.Reason,
			age(s.CreatedAt, s.EndedAt), s.Revision, s.NodeID,
		})
	}
	return l
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
		return printFacts(cmd.OutOrStdout(), slices.Concat(sessionFacts(*r.JSON200), connectFacts(*r.JSON200), obstacles(ctx, c, *r.JSON200)))
	})
}

// obstacles are the conditions of a session's pool while the session is not up: they may say why
// it waits.
func obstacles(ctx context.Context, c *client.Client, s httpapi.Session) (facts []fact) {
	if s.Staging == "" || s.State != staging.Pending && s.State != staging.Starting {
		return nil
	}
	r, err := c.GetStagingWithResponse(ctx, s.Staging)
	if c.Answered(r, err, http.StatusOK) != nil {
		return nil // the config was deleted, or this token may not read it
	}
	for _, condition := range r.JSON200.Conditions {
		facts = append(facts, fact{"its pool", string(condition.Type) + ": " + condition.Message})
	}
	return facts
}

// noToken stands in a session's link for its token, which only the launch's answer has.
var noToken = url.QueryEscape("{" + string(staging.TokenAccess) + "}")

// connectFacts are how a session's user opens it.
func connectFacts(s httpapi.Session) []fact {
	link := strings.ReplaceAll(s.Link, noToken, "TOKEN")
	if link != s.Link {
		link += " (the launch's answer has the TOKEN)"
	}
	return []fact{{"connect", link}}
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

// visited returns when a session's user first used it, "never", or "" where that is not known.
func visited(s httpapi.Session) string {
	if s.Unvisited {
		return "never"
	}
	return moment(s.VisitedAt)
}

// sessionFacts are what greenroom sessions show and greenroom launch print of a session.
func sessionFacts(s httpapi.Session) []fact {
	facts := []fact{
		{"id", s.ID},
		{"state", string(s.State)},
		{"reason", s.Reason},
		{"waits for room until", moment(s.WaitsForRoomUntil)},
		{"origin", string(s.Origin)},
		{"zone", s.Zone},
		{"image", s.Image},
		{"staging", s.Staging},
		{"revision", s.Revision},
	}
	if s.User != nil {
		facts = append(facts, fact{"user id", s.User.ID}, fact{"user name", s.User.Name})
	}
	facts = append(facts, fact{"groups", strings.Join(s.Groups, ", ")})
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
		fact{"last keepalive", moment(s.KeepaliveAt)},
		fact{"visited", visited(s)},
		fact{"ends unless it is used", moment(s.IdleEndsAt)},
		fact{"ends unless its user opens it", moment(s.UnvisitedEndsAt)},
		fact{"ends unless a keepalive comes", moment(s.KeepaliveUntil)},
		fact{"ends", moment(s.EndsAt)},
		fact{"may be extended until", moment(s.ExtendableUntil)},
		fact{"limits", limitsOf(s.Terms)},
		fact{"expires", moment(s.ExpiresAt)},
		fact{"ended", moment(s.EndedAt)},
		fact{"kept", keptText(s)},
	)
}

// keptCell is "kept" for a failed session whose job is kept.
func keptCell(s httpapi.Session) string {
	if s.Kept {
		return "kept"
	}
	return ""
}

// keptText says that a failed session's job is kept; "" where it is not.
func keptText(s httpapi.Session) string {
	if !s.Kept {
		return ""
	}
	return "its job stays in Nomad, stopped, for inspection"
}

// limitsOf lists the terms that a session's user has it by.
func limitsOf(t staging.Terms) string {
	var set []string
	for _, d := range []struct {
		name  string
		value staging.Duration
	}{{"keepalive_expiration", t.Keepalive}, {"session_time_limit", t.TimeLimit}, {"max_extension", t.MaxExtension}, {"extended", t.Extended}, {"unhealthy_expiration", t.Unhealthy}, {"idle_expiration", t.Idle}, {"unvisited_expiration", t.Unvisited}} {
		if d.value != 0 {
			set = append(set, d.name+"="+d.value.String())
		}
	}
	return strings.Join(set, " ")
}
