package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newWebhooksCommand() *cobra.Command {
	cmd := asList(&cobra.Command{
		Use:   "webhooks",
		Short: "List the webhooks and how far their deliveries are, replay and test them",
		Long: `List the webhooks and how far their deliveries are. Pending messages are still to be
delivered, behind says for how long the oldest of them has been waiting; dead letters
are messages that were given up, and gaps how often events may have been lost. With
-o json, each has them as its deliveries. Only administrators see webhooks, and nobody
sees their secrets.

Webhooks are created and changed with greenroom apply.`,
		Example: `  greenroom webhooks
  greenroom webhooks test billing
  greenroom webhooks dead-letters billing
  greenroom webhooks replay billing`,
		Args: cobra.NoArgs,
		RunE: listKind("webhook"),
	})
	cmd.AddCommand(newDeadLettersCommand(), newReplayCommand(), newWebhookTestCommand())
	return cmd
}

func webhookListing(ctx context.Context, c *client.Client) (listing, error) {
	l := listing{
		header: []string{"NAME", "URL", "EVENTS", "PENDING", "BEHIND", "DEAD LETTERS", "GAPS", "ERROR"},
		wide:   []string{"ZONES", "IMAGES", "STAGING", "GIVE UP AFTER", "FAILING FOR", "SECRET"},
	}
	all, err := c.ListWebhooks(ctx)
	if err != nil {
		return l, err
	}
	items, raw := byName(all, func(w staging.Webhook) string { return w.Name })
	now := time.Now()
	for i, w := range items {
		d, err := deliveriesOf(ctx, c, w.Name)
		if err != nil {
			return l, err
		}
		if raw[i], err = withDeliveries(raw[i], d); err != nil {
			return l, err
		}
		events := make([]string, len(w.Events))
		for i, t := range w.Events {
			events[i] = string(t)
		}
		l.rows = append(l.rows, []string{
			w.Name, w.URL, everyOr("all", events), strconv.Itoa(d.Pending), age(d.OldestAt, now), strconv.Itoa(d.DeadLetters), strconv.Itoa(d.Gaps), d.Error,
			everyOr("all", w.Zones), everyOr("all", w.Images), everyOr("all", w.Staging), cmp.Or(w.GiveUpAfter, staging.DefaultGiveUpAfter).Brief(),
			age(d.FailingSince, now), w.SecretFingerprint,
		})
	}
	l.raw = raw
	return l, nil
}

// withDeliveries returns a webhook's JSON with how far its deliveries are, for programs to read what the
// table shows.
func withDeliveries(raw json.RawMessage, d staging.WebhookDeliveries) (json.RawMessage, error) {
	deliveries, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	fields, ok := bytes.CutSuffix(raw, []byte("}"))
	if !ok {
		return nil, fmt.Errorf("the broker answered a webhook that is no JSON object: %s", raw)
	}
	return fmt.Appendf(nil, `%s,"deliveries":%s}`, fields, deliveries), nil
}

func deliveriesOf(ctx context.Context, c *client.Client, name string) (d staging.WebhookDeliveries, err error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := c.GetWebhookDeliveriesWithResponse(ctx, name)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return d, err
	}
	return *r.JSON200, nil
}

func webhookNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListWebhooks(ctx)
	var found []string
	for _, w := range all.Items {
		found = append(found, w.Name)
	}
	return found, err
}

func newDeadLettersCommand() *cobra.Command {
	return asList(&cobra.Command{
		Use:   "dead-letters NAME",
		Short: "List the messages of a webhook that were given up",
		Long: `List the messages of a webhook that were given up, the oldest first, with what the last
attempt failed with. -o json has the events themselves.`,
		Example: `  greenroom webhooks dead-letters billing
  greenroom webhooks dead-letters billing -o json`,
		Args: oneArgument("webhook's NAME"), ValidArgsFunction: completeFirst(webhookNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				all, err := c.ListDeadLetters(ctx, name)
				if err != nil {
					return err
				}
				l := listing{header: []string{"ID", "TYPE", "SESSION", "HAPPENED", "TRIES", "ERROR"}, wide: []string{"USER", "STAGING", "MESSAGE ID"}, raw: all.Raw}
				for _, d := range all.Items {
					l.rows = append(l.rows, []string{
						d.ID, string(d.Event.Type), d.Event.Session, d.Event.At.Format(time.RFC3339), strconv.Itoa(d.Tries), d.Error,
						d.Event.User, d.Event.Pool, d.MessageID,
					})
				}
				return l.print(cmd)
			})
		},
	})
}

func newReplayCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "replay NAME [ID...]",
		Short: "Send dead letters of a webhook again",
		Long: `Send dead letters of a webhook again: all of them, or those with an ID that greenroom
webhooks dead-letters shows. They keep their message ids, and come after what is
pending, and so later than newer messages of their sessions.`,
		Example: `  greenroom webhooks replay billing
  greenroom webhooks replay billing 1763965200000-0`,
		Args: someArguments("webhook's NAME"), ValidArgsFunction: completeFirst(webhookNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				r, err := c.ReplayDeadLettersWithResponse(ctx, name, httpapi.ReplayRequest{Ids: args[1:]})
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				if output.WantsJSON(cmd) {
					return printBody(cmd, r.Body)
				}
				if asked := len(args) - 1; r.JSON200.Replayed < asked {
					fmt.Fprintf(cmd.ErrOrStderr(), "%[1]d of the %[2]d are pending again; the others are no dead letters of webhook %[3]s: greenroom webhooks dead-letters %[3]s lists those\n",
						r.JSON200.Replayed, asked, output.Printable(name))
					return exit.Error(exit.NotFound)
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d dead letters of webhook %s are pending again\n", r.JSON200.Replayed, output.Printable(name))
				return err
			})
		},
	}
}

func newWebhookTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test NAME",
		Short: "Send a message of type test to a webhook's receiver",
		Long: `Send a message of type test to a webhook's receiver, once, and say what it answered. It
comes from the broker; events come from the scaler that has the webhooks' lock, which
must reach the receiver, too. The exit code is 1 if it was not delivered.`,
		Example: `  greenroom webhooks test billing`,
		Args:    oneArgument("webhook's NAME"), ValidArgsFunction: completeFirst(webhookNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				r, err := c.TestWebhookWithResponse(ctx, name)
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				if output.WantsJSON(cmd) {
					if err := printBody(cmd, r.Body); err != nil {
						return err
					}
				}
				if !r.JSON200.Delivered {
					return fmt.Errorf("the test message was not delivered: %s", output.Printable(r.JSON200.Error))
				}
				if output.WantsJSON(cmd) {
					return nil
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "the receiver of webhook %s took the test message\n", output.Printable(name))
				return err
			})
		},
	}
}

// mayNotSee reports whether the caller may not see a kind at all: only administrators of the
// whole installation see webhooks, and older brokers have none.
func mayNotSee(k kind, err error) bool {
	refused, ok := errors.AsType[*client.ProblemError](err)
	return ok && k.name == "webhook" && (exitCodeOf(refused) == exit.Forbidden || exitCodeOf(refused) == exit.NotFound)
}
