package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// overview is what status and watch show, at one moment.
type overview struct {
	Well         bool                       `json:"well"`
	Problems     []string                   `json:"problems"`
	Dependencies []httpapi.DependencyHealth `json:"dependencies"`
	Zones        []string                   `json:"zones"`
	Pools        []httpapi.StagingPool      `json:"pools"`
	// Agents are the brokers, gateways and scalers that are alive.
	Agents []httpapi.Agent `json:"agents,omitempty"`
	// ForeignSessions are those of other installations in the same Nomad.
	ForeignSessions int `json:"foreign_sessions"`
	// Remarks are on what works and is seldom meant. They leave all well.
	Remarks []string `json:"remarks,omitempty"`
}

// overviewOf reads the health of the servers and the status of the pools. The problems are the
// broker's own reasons, so that the page and the command line say the same. If a server is
// unavailable, the pools may be missing, with a problem that explains it.
func overviewOf(ctx context.Context, c *client.Client) (overview, error) {
	o := overview{Zones: []string{}}
	ready, err := readiness(ctx, c)
	if err != nil {
		return o, err
	}
	o.Dependencies = ready.Dependencies
	now, err := statusNow(ctx, c)
	if err != nil {
		return o, err
	}
	o.Problems, o.ForeignSessions, o.Remarks, o.Agents = append([]string{}, now.Reasons...), now.ForeignSessions, now.Remarks, now.Agents
	if len(o.Problems) == 0 && ready.Status != httpapi.ReadinessStatusOk {
		o.Problems = append(o.Problems, "the broker says that it is "+string(ready.Status))
	}
	if o.Pools, err = c.Pools(ctx); err == nil {
		o.Zones, err = zoneNames(ctx, c)
	}
	if err != nil {
		// The servers' health explains the failure, and is all that can be shown.
		var refused *client.ProblemError
		if !errors.As(err, &refused) || exitCode(err) != exit.Unavailable {
			return o, err
		}
		if len(o.Problems) == 0 {
			o.Problems = append(o.Problems, refused.Detail)
		}
	}
	o.Well = len(o.Problems) == 0
	return o, nil
}

// readiness returns the health of the broker and of the servers that it needs.
func readiness(ctx context.Context, c *client.Client) (httpapi.Readiness, error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := c.GetReadyWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK, http.StatusServiceUnavailable); err != nil {
		return httpapi.Readiness{}, err
	}
	if r.JSON200 != nil {
		return *r.JSON200, nil
	}
	if r.JSON503 != nil {
		return *r.JSON503, nil
	}
	return httpapi.Readiness{}, errors.New("the broker's answer has no health in it")
}

// statusNow returns the broker's status.
func statusNow(ctx context.Context, c *client.Client) (httpapi.Status, error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := c.GetStatusWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return httpapi.Status{}, err
	}
	return *r.JSON200, nil
}

// print prints the overview for a person: a verdict, the pools, the problems.
func (o overview) print(w io.Writer, now time.Time) error {
	servers := make([]string, len(o.Dependencies))
	for i, d := range o.Dependencies {
		servers[i] = d.Name + " " + string(d.Status)
	}
	verdict := "all is well"
	if !o.Well {
		verdict = "not all is well"
	}
	fmt.Fprintf(w, "%s; %s; %s, %s\n", verdict, strings.Join(servers, ", "), staging.Count(len(o.Zones), "zone"), staging.Count(len(o.Pools), "pool"))
	if len(o.Pools) > 0 {
		fmt.Fprintln(w)
		if err := printPools(w, o.Pools, now); err != nil {
			return err
		}
	}
	if versions := o.versions(); len(versions) > 1 {
		fmt.Fprintf(w, "\nagents of several versions: %s\n", output.Printable(strings.Join(versions, "; ")))
	}
	if o.ForeignSessions > 0 {
		fmt.Fprintf(w, "\n%s of other installations in this Nomad, left alone; greenroom installation lists them\n", staging.Count(o.ForeignSessions, "session"))
	}
	for i, r := range o.Remarks {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "remark: %s\n", output.Printable(r))
	}
	if len(o.Problems) > 0 {
		fmt.Fprintln(w)
	}
	for _, p := range o.Problems {
		fmt.Fprintf(w, "! %s\n", output.Printable(p))
	}
	return nil
}

// versions returns the versions of the agents that are alive, each with its agents.
func (o overview) versions() []string {
	of := map[string][]string{}
	for _, a := range o.Agents {
		version := cmp.Or(a.Version, "not known")
		of[version] = append(of[version], a.Kind+" "+a.Address)
	}
	var all []string
	for _, version := range slices.Sorted(maps.Keys(of)) {
		all = append(all, version+": "+strings.Join(of[version], ", "))
	}
	return all
}

// printPools prints the pools by zone, each with its conditions and the age of the oldest.
func printPools(w io.Writer, pools []httpapi.StagingPool, now time.Time) error {
	pools = slices.SortedFunc(slices.Values(pools), func(a, b httpapi.StagingPool) int {
		return cmp.Or(strings.Compare(a.Zone, b.Zone), strings.Compare(a.Name, b.Name))
	})
	var rows [][]string
	for _, p := range pools {
		since := ""
		if len(p.Conditions) > 0 {
			since = age(slices.MinFunc(p.Conditions, func(a, b httpapi.Condition) int { return a.Since.Compare(b.Since) }).Since, now)
		}
		rows = append(rows, []string{
			p.Zone, p.Name, p.Image, strconv.Itoa(client.Desired(p)), strconv.Itoa(p.CurrentSessions), strconv.Itoa(p.ReadySessions),
			string(p.Fill), updated(p), conditionTypes(p.Conditions), since,
		})
	}
	return printTable(w, []string{"ZONE", "POOL", "IMAGE", "DESIRED", "CURRENT", "READY", "FILL", "UPDATED", "CONDITIONS", "SINCE"}, rows)
}
