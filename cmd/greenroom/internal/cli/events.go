package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
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
	// session, staging, user and zone select events; "" for all.
	session, staging, user, zone string
	tail                         int
}

func newEventsCommand() *cobra.Command {
	var f eventFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened to sessions and pools, and follow it",
		Long: `Show the last events: what happened to sessions and pools, oldest first. The broker
keeps about 10,000. With -f, go on with those that come, until Ctrl-C. Flags select some
of them: an event must fit all. --user has those of the user's launches and sessions,
from the claim on.

One event is one line; with -o json one document a line, with every field.`,
		Example: `  greenroom events
  greenroom events -f --type hook_failed,conditions
  greenroom events --session gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom events --user u-1 --zone east
  greenroom events --tail 1000 --type assigned -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runEvents(cmd, f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with the events that come, until Ctrl-C")
	fl.StringSliceVar(&f.types, "type", nil, "only events of these types, such as assigned,ended")
	fl.StringVar(&f.session, "session", "", "only events of this session")
	fl.StringVar(&f.staging, "staging", "", "only events of this staging config's pool and its sessions")
	fl.StringVar(&f.user, "user", "", "only events of the user with this id")
	fl.StringVar(&f.zone, "zone", "", "only events of this zone")
	fl.IntVar(&f.tail, "tail", 20, "how many of those that are kept to show first")
	var types []string
	for _, t := range staging.EventTypes {
		types = append(types, string(t))
	}
	completeFlags(cmd, map[string]names{"type": fixed(types...), "session": sessionIDs, "staging": poolNames, "user": userIDs, "zone": zoneNames})
	return cmd
}

// filter returns the parameters of a request for the selected events. An empty value is a
// usage error: a script whose variable is empty must not get every event.
func (f eventFlags) filter(cmd *cobra.Command) (url.Values, error) {
	params := url.Values{}
	for name, value := range map[string]string{
		"type": strings.Join(f.types, ","), "session": f.session, "staging": f.staging, "user": f.user, "zone": f.zone,
	} {
		switch {
		case value != "":
			params.Set(name, value)
		case cmd.Flags().Changed(name):
			return nil, exit.BadUsage(fmt.Errorf("--%s: must not be empty", name))
		}
	}
	return params, nil
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
	filter, err := f.filter(cmd)
	if err != nil {
		return err
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	last, found, err := f.kept(cmd, c, filter)
	if err == nil && !found {
		err = errors.Join(namesExist(cmd.Context(), c, map[string]string{"zone": f.zone, "staging": f.staging}), noName(cmd.Context(), c, f.user))
	}
	if err != nil || !f.follow {
		return err
	}
	for {
		err := c.Events(cmd.Context(), client.Follower{Filter: filter, After: last, Event: func(e client.RawEvent) error {
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

// kept prints the last of the events that are kept, and returns the id of the newest one, and
// whether there was any.
func (f eventFlags) kept(cmd *cobra.Command, c *client.Client, filter url.Values) (last string, found bool, err error) {
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	idle := time.AfterFunc(client.CallTimeout, func() { cancel(errEnough) })
	defer idle.Stop()
	began := time.Now()
	var tail []client.RawEvent
	active := func() { idle.Reset(quiet) }
	err = c.Events(ctx, client.Follower{Filter: filter, After: client.BeforeAllEvents, Active: active, Event: func(e client.RawEvent) error {
		if e.Type == client.EventGap {
			return nil // older ones are not kept, which is as documented
		}
		tail, last, found = append(tail, e), e.ID, true
		if len(tail) > f.tail {
			tail = tail[1:]
		}
		if e.At.After(began) {
			return errEnough // it came while the kept ones were read
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(context.Cause(ctx), errEnough) && !errors.Is(err, io.EOF) {
		return last, found, err
	}
	for _, e := range tail {
		if err := printEvent(cmd, e); err != nil {
			return last, found, err
		}
	}
	return last, found, nil
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
		add("", fmt.Sprintf("%s: %s by %s", cmp.Or(e.Audit.Action, e.Audit.Operation), e.Audit.Outcome, e.Audit.Who))
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
