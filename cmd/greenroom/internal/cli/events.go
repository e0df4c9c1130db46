package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// eventFlags are the flags of greenroom events.
type eventFlags struct {
	follow bool
	types  []string
	tail   int
}

func newEventsCommand() *cobra.Command {
	var f eventFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened to sessions and pools, and follow it",
		Long: `Show the last events: what happened to sessions and pools, oldest first. The broker
keeps about 10,000. With -f, go on with those that come, until Ctrl-C.

One event is one line; with -o json one document a line, with every field.`,
		Example: `  greenroom events
  greenroom events -f --type hook_failed,conditions
  greenroom events --tail 1000 --type assigned -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runEvents(cmd, f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with the events that come, until Ctrl-C")
	fl.StringSliceVar(&f.types, "type", nil, "only events of these types, such as assigned,ended")
	fl.IntVar(&f.tail, "tail", 20, "how many of those that are kept to show first")
	var types []string
	for _, t := range staging.EventTypes {
		types = append(types, string(t))
	}
	completeFlags(cmd, map[string]names{"type": fixed(types...)})
	return cmd
}

// The times of greenroom events.
const (
	// quiet is how long no event has to come for those that are kept to be over.
	quiet = time.Second
	// reconnectAfter is the time before a broker that hung up is called again.
	reconnectAfter = time.Second
)

func runEvents(cmd *cobra.Command, f eventFlags) error {
	if f.tail < 0 {
		return exit.BadUsage(fmt.Errorf("--tail: must be 0 or more, is %d", f.tail))
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	last, err := f.kept(cmd, c)
	if err != nil || !f.follow {
		return err
	}
	for {
		err := c.Events(cmd.Context(), client.Follower{Types: f.types, After: last, Event: func(e client.RawEvent) error {
			if e.ID != "" {
				last = e.ID
			}
			return printEvent(cmd, e)
		}})
		var unreachable *client.UnreachableError
		switch {
		case cmd.Context().Err() != nil:
			return nil
		case errors.As(err, &unreachable):
			goesOn(cmd, err)
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return err
		}
		// The broker hung up, or is being restarted: no event is missed.
		select {
		case <-cmd.Context().Done():
			return nil
		case <-time.After(reconnectAfter):
		}
	}
}

// errEnough ends the reading of events.
var errEnough = errors.New("enough events")

// kept prints the last of the events that are kept, and returns the id of the newest one.
func (f eventFlags) kept(cmd *cobra.Command, c *client.Client) (last string, err error) {
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	idle := time.AfterFunc(client.CallTimeout, func() { cancel(errEnough) })
	defer idle.Stop()
	began := time.Now()
	var tail []client.RawEvent
	active := func() { idle.Reset(quiet) }
	err = c.Events(ctx, client.Follower{Types: f.types, After: client.BeforeAllEvents, Active: active, Event: func(e client.RawEvent) error {
		if e.Type == client.EventGap {
			return nil // older ones are not kept, which is as documented
		}
		tail, last = append(tail, e), e.ID
		if len(tail) > f.tail {
			tail = tail[1:]
		}
		if e.At.After(began) {
			return errEnough // it came while the kept ones were read
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(context.Cause(ctx), errEnough) && !errors.Is(err, io.EOF) {
		return last, err
	}
	for _, e := range tail {
		if err := printEvent(cmd, e); err != nil {
			return last, err
		}
	}
	return last, nil
}

// printEvent prints one event: in a line for a person, or as a document.
func printEvent(cmd *cobra.Command, e client.RawEvent) error {
	if output.WantsJSON(cmd) {
		return output.JSONLine(cmd, e.Raw)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %-11s  %s\n", moment(e.At), e.Type, eventLine(e.Event))
	return err
}

// eventLine is what a line says of an event, after its time and type.
func eventLine(e staging.Event) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+output.Printable(value))
		}
	}
	add("", e.Session)
	add("staging=", e.Pool)
	add("zone=", e.Zone)
	add("image=", e.Image)
	add("user=", e.User)
	add("hook=", string(e.Hook))
	add("setting=", e.Setting)
	add("where=", e.Where)
	if e.Audit.Who != "" {
		add("", fmt.Sprintf("%s %s by %s", e.Audit.Operation, e.Audit.Outcome, e.Audit.Who))
		add("target=", e.Audit.Target)
		add("", e.Audit.Reason)
	}
	if e.Type == staging.EventConditions && len(e.Conditions) == 0 {
		add("", "none: nothing is in the way any more")
	}
	for _, c := range e.Conditions {
		add("", string(c.Type)+": "+c.Message)
	}
	if len(e.Conditions) == 0 { // their reason is the same text
		add("", e.Reason)
	}
	if stderr := strings.TrimSpace(e.Stderr); !strings.Contains(e.Reason, stderr) {
		add("stderr: ", stderr)
	}
	return strings.Join(parts, "  ")
}
