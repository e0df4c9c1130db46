package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// sessionFilter is what the flags that select sessions hold.
type sessionFilter struct {
	params httpapi.ListSessionsParams
	states []string
}

// filterFlags are the flags that select sessions.
var filterFlags = []string{"state", "origin", "zone", "image", "staging", "user", "revision"}

func (f *sessionFilter) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.states, "state", nil, "only those in one of these states, such as ready,assigned")
	fl.StringVar((*string)(&f.params.Origin), "origin", "", "only those that are staged or on_demand")
	fl.StringVar(&f.params.Zone, "zone", "", "only those in this zone")
	fl.StringVar(&f.params.Image, "image", "", "only those of this image")
	fl.StringVar(&f.params.Staging, "staging", "", "only those of this staging config's pool")
	fl.StringVar(&f.params.User, "user", "", "only those of the user with this id")
	fl.StringVar(&f.params.Revision, "revision", "", "only those that were made from this revision of image, zone and permissions")
	completeFlags(cmd, map[string]names{
		"zone": zoneNames, "image": imageNames, "staging": poolNames, "user": userIDs, "revision": revisions, "state": stateNames, "origin": fixed(string(staging.Staged), string(staging.OnDemand)),
	})
}

// isSet reports whether any of the flags was given.
func isSet(cmd *cobra.Command) bool { return slices.ContainsFunc(filterFlags, cmd.Flags().Changed) }

// selected returns what the flags select. An empty value is a usage error: a script whose
// variable is empty must not reach every session.
func (f *sessionFilter) selected(cmd *cobra.Command) (httpapi.ListSessionsParams, error) {
	for _, name := range filterFlags {
		flag := cmd.Flags().Lookup(name)
		if flag.Changed && strings.Trim(flag.Value.String(), "[]") == "" {
			return f.params, exit.BadUsage(fmt.Errorf("--%s: must not be empty", name))
		}
	}
	f.params.State = nil
	for _, s := range f.states {
		f.params.State = append(f.params.State, staging.State(s))
	}
	return f.params, nil
}

// listSelected returns the sessions that params select. Where there are none, it returns an
// error if a zone, image or staging config of that name does not exist: most likely the name
// is misspelt. Sessions may outlive what they were made for, so those come first.
func listSelected(ctx context.Context, c *client.Client, params httpapi.ListSessionsParams) (client.List[httpapi.Session], error) {
	all, err := c.ListSessions(ctx, params)
	if err != nil || len(all.Items) > 0 {
		return all, err
	}
	for _, named := range []struct{ kind, name string }{{"zone", params.Zone}, {"image", params.Image}, {"staging", params.Staging}} {
		if named.name == "" {
			continue
		}
		k, err := kindOf(named.kind)
		if err != nil {
			return all, err
		}
		if err := k.exists(ctx, c, named.name); err != nil {
			return all, err
		}
	}
	return all, nil
}

// exists returns an error that names the resources that there are if name is none of them.
func (k kind) exists(ctx context.Context, c *client.Client, name string) error {
	found, err := k.names(ctx, c)
	var refused *client.ProblemError
	if errors.As(err, &refused) && exitCodeOf(refused) == exit.Forbidden {
		return nil
	}
	if err != nil {
		return err
	}
	for i, line := range found {
		found[i], _, _ = strings.Cut(line, "\t")
	}
	if slices.Contains(found, name) {
		return nil
	}
	slices.Sort(found)
	there := "there are none"
	if len(found) > 0 {
		there = "known are " + strings.Join(found[:min(len(found), 10)], ", ")
		if len(found) > 10 {
			there += fmt.Sprintf(" and %d more", len(found)-10)
		}
	}
	return &absentError{fmt.Errorf("there is no %s %q; %s", k.name, name, there)}
}
