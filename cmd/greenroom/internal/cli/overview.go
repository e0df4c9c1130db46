package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// overview is what status and watch show, at one moment.
type overview struct {
	Well         bool                       `json:"well"`
	Problems     []string                   `json:"problems"`
	Dependencies []httpapi.DependencyHealth `json:"dependencies"`
	Zones        []string                   `json:"zones"`
	Pools        []httpapi.StagingPool      `json:"pools"`
	// ForeignSessions are those of other installations in the same Nomad.
	ForeignSessions int `json:"foreign_sessions"`
	// Remarks are on what works and is seldom meant. They leave all well.
	Remarks []string `json:"remarks,omitempty"`
}

// overviewOf reads the health of the servers and the status of the pools. If a server is
// unavailable, the pools may be missing, with a problem that explains it.
func overviewOf(ctx context.Context, c *client.Client) (overview, error) {
	o := overview{Problems: []string{}, Zones: []string{}}
	ready, err := readiness(ctx, c)
	if err != nil {
		return o, err
	}
	o.Dependencies = ready.Dependencies
	for _, d := range o.Dependencies {
		if d.Status != httpapi.DependencyStatusOk {
			o.Problems = append(o.Problems, fmt.Sprintf("%s is unavailable: %s", d.Name, d.Problem))
		}
	}
	if len(o.Problems) == 0 && ready.Status != httpapi.ReadinessStatusOk {
		o.Problems = append(o.Problems, "the broker says that it is "+string(ready.Status))
	}
	if o.Pools, err = c.Pools(ctx); err == nil {
		o.Zones, err = zoneNames(ctx, c)
	}
	if err == nil {
		var idle []string
		idle, o.ForeignSessions, o.Remarks, err = unkeptZones(ctx, c)
		for _, zone := range idle {
			o.Problems = append(o.Problems, "no scaler is at work in zone "+zone+": its pools are not kept")
		}
	}
	if err != nil {
		// The servers' health explains the failure, and is all that can be shown.
		var refused *client.ProblemError
		if !errors.As(err, &refused) || exitCode(err) != exit.Unavailable {
			return o, err
		}
		o.Problems = append(o.Problems, refused.Detail)
	}
	for _, p := range o.Pools {
		if client.Degraded(p) {
			o.Problems = append(o.Problems, fmt.Sprintf("%s has %d of %d ready", p.Name, p.ReadySessions, client.Desired(p)))
		}
		for _, condition := range p.Conditions {
			o.Problems = append(o.Problems, fmt.Sprintf("%s: %s: %s", p.Name, condition.Type, condition.Message))
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

// unkeptZones returns the zones with pools in which no scaler acts, the number of sessions of
// other installations, and the broker's remarks. It returns no zone while Redis does not answer, because
// that is a problem of its own already.
func unkeptZones(ctx context.Context, c *client.Client) (idle []string, foreign int, remarks []string, err error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := c.GetStatusWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return nil, 0, nil, err
	}
	for _, z := range r.JSON200.Zones {
		if len(z.Pools) > 0 && z.CurrentSessions != nil && !z.Vouched {
			idle = append(idle, z.Name)
		}
	}
	return idle, r.JSON200.ForeignSessions, r.JSON200.Remarks, nil
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
	fmt.Fprintf(w, "%s; %s; %d zones, %d pools\n", verdict, strings.Join(servers, ", "), len(o.Zones), len(o.Pools))
	if len(o.Pools) > 0 {
		fmt.Fprintln(w)
		if err := printPools(w, o.Pools, now); err != nil {
			return err
		}
	}
	if o.ForeignSessions > 0 {
		fmt.Fprintf(w, "\n%d sessions of other installations run in this Nomad and are left alone; greenroom installation lists them\n", o.ForeignSessions)
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
