package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/staging"
)

func newInstallationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "installation",
		Short: "Show this installation, and which others share the Nomad",
		Long: `Show the id of this installation and its prefixes in Consul and Redis, and which other
installations have sessions in the same Nomad. Each session's job carries the id of
its installation. Nothing here acts on the sessions of another one, or on jobs
without an id, which are listed as "none".`,
		Example: `  greenroom installation
  greenroom installation take-over gi-01jd9q5r2v7c8k3m4n6p0s1t2x`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.GetInstallationWithResponse(ctx)
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				return printInstallation(cmd, r.Body, *r.JSON200)
			})
		},
	}
	cmd.AddCommand(newTakeOverCommand(), newRecoverCommand())
	return cmd
}

func newTakeOverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "take-over ID",
		Short: "Take over the sessions of another installation, after a disaster",
		Long: `Take over the sessions of another installation, for the time after a disaster: Consul
and Redis were lost, a new installation was created, and the sessions of the old one
still run in Nomad. "none" stands for jobs without an id, which were created before
installations had ids; an upgrade takes them over by itself.

Do not take over an installation that still works: both would act on its sessions.

A session of which neither Consul nor Redis has a record may be in use. It is
quarantined: no other user gets it, and it ends by greenroom sessions end.`,
		Example: `  greenroom installation take-over gi-01jd9q5r2v7c8k3m4n6p0s1t2x
  greenroom installation take-over none`,
		Args: oneArgument("id, as greenroom installation lists it"), ValidArgsFunction: completeFirst(foreignInstallations),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := staging.ValidateInstallationID(args[0]); err != nil {
				return exit.BadUsage(err)
			}
			return call(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.TakeOverInstallationWithResponse(ctx, httpapi.TakeOver{ID: args[0]})
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				return printInstallation(cmd, r.Body, *r.JSON200)
			})
		},
	}
}

func newRecoverCommand() *cobra.Command {
	var load *config.Loader
	cmd := &cobra.Command{
		Use:   "recover ID",
		Short: "Store an installation's id in a Consul that has lost it",
		Long: `Store an installation's id in a Consul that has lost it. Brokers and scalers refuse to
start where Redis belongs to an installation that Consul does not have, because that
Redis may be another installation's. If both are yours, this command makes them fit.

If Consul has no installation, ID becomes this installation. If Consul has another
one, that one takes over ID.

This goes to Consul directly, without a broker.`,
		Example: `  greenroom installation recover gi-01jd9q5r2v7c8k3m4n6p0s1t2x
  greenroom installation recover gi-01jd9q5r2v7c8k3m4n6p0s1t2x --consul-address http://127.0.0.1:8500`,
		Args: oneArgument("id, as the agent's refusal names it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := staging.ValidateInstallationID(args[0]); err != nil {
				return exit.BadUsage(err)
			}
			a, err := load.Load()
			if err != nil {
				return exit.BadUsage(err)
			}
			ctx, cancel := client.Brief(cmd.Context())
			defer cancel()
			i, err := agent.Recover(ctx, a, args[0])
			if err != nil {
				return err
			}
			if output.WantsJSON(cmd) {
				return output.JSON(cmd, i)
			}
			text := "this is installation " + i.ID
			if len(i.Adopted) > 0 {
				text += ", which has taken over " + strings.Join(i.Adopted, ", ")
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text+"; start the brokers and scalers")
			return err
		},
	}
	load = agent.Flags(cmd, config.Stores)
	return cmd
}

// printInstallation prints an installation and its neighbours for a person, or the body as
// it came.
func printInstallation(cmd *cobra.Command, body []byte, i httpapi.Installation) error {
	if output.WantsJSON(cmd) {
		return printBody(cmd, body)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "id              %s\n", i.ID)
	fmt.Fprintf(w, "consul prefix   %s\n", i.ConsulPrefix)
	fmt.Fprintf(w, "redis prefix    %s\n", i.RedisPrefix)
	if len(i.Adopted) > 0 {
		fmt.Fprintf(w, "taken over      %s\n", strings.Join(i.Adopted, ", "))
	}
	if len(i.Foreign) == 0 {
		_, err := fmt.Fprintln(w, "\nno other installation has sessions in this Nomad")
		return err
	}
	fmt.Fprintln(w, "\nother installations in this Nomad, whose sessions are left alone:")
	var rows [][]string
	for _, f := range i.Foreign {
		who := f.Installation
		if who == i.ID {
			who += " (made by a newer greenroom)"
		}
		rows = append(rows, []string{who, strconv.Itoa(f.Sessions)})
	}
	return printTable(w, []string{"INSTALLATION", "SESSIONS"}, rows)
}
