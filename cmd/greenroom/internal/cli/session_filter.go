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
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// sessionFilter is what the flags that select sessions hold.
type sessionFilter struct {
	params httpapi.ListSessionsParams
	states []string
	// failed selects those of the ended ones that failed.
	failed bool
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
	fl.StringVar(&f.params.User, "user", "", "only those of the user with this id (not the name)")
	fl.StringVar(&f.params.Revision, "revision", "", "only those that were made from this revision of image, zone and permissions, or one that begins so; or with \"old\" from any that they would not be made from now")
	completeFlags(cmd, map[string]names{
		"zone": zoneNames, "image": imageNames, "staging": poolNames, "user": userIDs, "revision": revisionsOrOld, "state": stateNames, "origin": fixed(string(staging.Staged), string(staging.OnDemand)),
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
	if f.failed {
		if len(f.states) == 0 {
			f.states = []string{string(staging.Ended)}
		}
		if !slices.Equal(f.states, []string{string(staging.Ended)}) {
			return f.params, exit.BadUsage(fmt.Errorf("--failed: is about sessions that have %s: leave --state out", staging.Ended))
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
	return all, errors.Join(
		namesExist(ctx, c, map[string]string{"zone": params.Zone, "image": params.Image, "staging": params.Staging}),
		noName(ctx, c, params.User),
		revisionExists(ctx, c, params.Revision),
	)
}

// revisionExists returns an error if neither a session nor a staging config has a revision: most
// likely it is misspelt.
func revisionExists(ctx context.Context, c *client.Client, revision string) error {
	if revision == "" || revision == staging.OldRevision {
		return nil
	}
	all, err := c.ListSessions(ctx, httpapi.ListSessionsParams{Revision: revision})
	if err != nil || len(all.Items) > 0 {
		return err
	}
	pools, err := c.Pools(ctx)
	if err != nil || slices.ContainsFunc(pools, func(p httpapi.StagingPool) bool { return strings.HasPrefix(p.Revision, revision) }) {
		return err
	}
	return &absentError{fmt.Errorf("there is no revision %q: no session was made from it, and no staging config has it; greenroom sessions -o wide shows those of the sessions", revision)}
}

// noName returns an error if what was given for a user's id, which selects nothing, is the name
// of users with another id: most likely it was mistaken for it.
func noName(ctx context.Context, c *client.Client, user string) error {
	if user == "" {
		return nil
	}
	all, err := c.ListSessions(ctx, httpapi.ListSessionsParams{})
	if err != nil {
		return err
	}
	var ids []string
	for _, s := range all.Items {
		if s.User == nil || s.User.Name != user {
			continue
		}
		if s.User.ID == user {
			return nil // other flags select none of this user's sessions
		}
		if id := output.Printable(s.User.ID); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return &absentError{fmt.Errorf("nothing is of a user with the id %q, which is the name of user %s: --user takes the id", user, strings.Join(ids, ", "))}
}

// namesExist returns an error if a resource of a name, by its kind, does not exist: most
// likely the name is misspelt. "" names none.
func namesExist(ctx context.Context, c *client.Client, named map[string]string) error {
	for _, k := range kinds {
		if name := named[k.name]; name != "" {
			if err := k.exists(ctx, c, name); err != nil {
				return err
			}
		}
	}
	return nil
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
	return &absentError{fmt.Errorf("there is no %s %q; %s", k.what(), name, there)}
}

// only returns those sessions of a list that are to be kept.
func only(all client.List[httpapi.Session], keep func(httpapi.Session) bool) client.List[httpapi.Session] {
	var kept client.List[httpapi.Session]
	for i, s := range all.Items {
		if keep(s) {
			kept.Items, kept.Raw = append(kept.Items, s), append(kept.Raw, all.Raw[i])
		}
	}
	return kept
}
