package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// zoneNames returns the names of the zones.
func zoneNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListZones(ctx)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, z := range all.Items {
		names = append(names, z.Name)
	}
	return names, nil
}

// names reads names to complete from a broker. A name may be followed by a tab and a
// description.
type names func(ctx context.Context, c *client.Client) ([]string, error)

func imageNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, i := range all.Items {
		found = append(found, i.Name)
	}
	return found, nil
}

func groupNames(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, g := range all.Items {
		found = append(found, g.Name)
	}
	return found, nil
}

func poolNames(ctx context.Context, c *client.Client) ([]string, error) {
	pools, err := c.Pools(ctx)
	var found []string
	for _, p := range pools {
		found = append(found, fmt.Sprintf("%s\t%d of %d ready", p.Name, p.ReadySessions, client.Desired(p)))
	}
	return found, err
}

// zoneAndPoolNames returns the names of the zones and those of the staging configs.
func zoneAndPoolNames(ctx context.Context, c *client.Client) ([]string, error) {
	zones, err := zoneNames(ctx, c)
	if err != nil {
		return nil, err
	}
	pools, err := poolNames(ctx, c)
	return append(zones, pools...), err
}

// poolAndSessionNames returns the names of the staging configs and the ids of the sessions.
func poolAndSessionNames(ctx context.Context, c *client.Client) ([]string, error) {
	pools, err := poolNames(ctx, c)
	if err != nil {
		return nil, err
	}
	sessions, err := sessionIDs(ctx, c)
	return append(pools, sessions...), err
}

// sessionIDs returns the ids of the sessions that have not ended.
func sessionIDs(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListSessions(ctx, httpapi.ListSessionsParams{})
	var found []string
	for _, s := range all.Items {
		found = append(found, fmt.Sprintf("%s\t%s, %s", s.ID, s.State, output.Printable(userName(s))))
	}
	return found, err
}

// userIDs returns the ids of the users who have sessions, each with the name.
func userIDs(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListSessions(ctx, httpapi.ListSessionsParams{State: []staging.State{staging.Assigned}})
	var found []string
	for _, s := range all.Items {
		if s.User == nil || strings.ContainsAny(s.User.ID, "\t\n") {
			continue
		}
		if line := s.User.ID + "\t" + output.Printable(userName(s)); !slices.Contains(found, line) {
			found = append(found, line)
		}
	}
	return found, err
}

// revisions returns the revisions that sessions are of, each with the image and how many they are.
func revisions(ctx context.Context, c *client.Client) ([]string, error) {
	all, err := c.ListSessions(ctx, httpapi.ListSessionsParams{})
	type made struct{ revision, image string }
	var order []made
	count := map[made]int{}
	for _, s := range all.Items {
		of := made{s.Revision, s.Image}
		if count[of]++; count[of] == 1 && s.Revision != "" {
			order = append(order, of)
		}
	}
	var found []string
	for _, of := range order {
		found = append(found, fmt.Sprintf("%s\t%d of image %s", of.revision, count[of], of.image))
	}
	return found, err
}

// revisionsOrOld returns the revisions, and the word for those that sessions are no longer made from.
func revisionsOrOld(ctx context.Context, c *client.Client) ([]string, error) {
	found, err := revisions(ctx, c)
	return append(found, staging.OldRevision+"\tany that they would not be made from now"), err
}

// stateNames returns the states that a list of sessions can be filtered by.
func stateNames(context.Context, *client.Client) ([]string, error) {
	var found []string
	for _, s := range staging.States {
		found = append(found, string(s))
	}
	return found, nil
}

// tokenAccessors returns the accessors of the tokens, each with its name.
func tokenAccessors(ctx context.Context, c *client.Client) ([]string, error) {
	r, err := c.ListTokensWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return nil, err
	}
	var found []string
	for _, t := range r.JSON200.Items {
		found = append(found, t.Accessor+"\t"+output.Printable(t.Name))
	}
	return found, nil
}

// lockedUsers returns the ids of the locked users.
func lockedUsers(ctx context.Context, c *client.Client) ([]string, error) {
	r, err := c.ListLockedUsersWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return nil, err
	}
	var found []string
	for _, u := range r.JSON200.Items {
		found = append(found, u.UserID)
	}
	return found, nil
}

// foreignInstallations returns the ids of the other installations in the same Nomad.
func foreignInstallations(ctx context.Context, c *client.Client) ([]string, error) {
	r, err := c.GetInstallationWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return nil, err
	}
	var found []string
	for _, f := range r.JSON200.Foreign {
		found = append(found, f.Installation+"\t"+staging.Count(f.Sessions, "session"))
	}
	return found, nil
}

// fixed returns the completion of values that are known without a broker.
func fixed(values ...string) names {
	return func(context.Context, *client.Client) ([]string, error) { return values, nil }
}
