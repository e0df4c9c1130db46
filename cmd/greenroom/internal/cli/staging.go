package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newStagingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "staging",
		Short: "List and show staging configs and how their pools stand",
		Long: `List the staging configs and how their pools stand: desired is wanted now, by
the pool's demand where it follows that, the schedule's entry that is open, or else the
config, current exist and are unassigned, ready of those can be claimed now. Updated
are those of the current that are of the current revision: "2 of 5" while a new one
rolls. Conditions say why they differ, and RolloutStuck that a new revision does not
get on. staging show says which entry is open, until when, and what comes next.

` + staging.FillWords + `

Staging configs are created and changed with greenroom apply; staging set changes one
that is there.`,
		Example: `  greenroom staging
  greenroom staging show demo-east
  greenroom staging wait demo-east --ready 1
  greenroom staging -o json | jq '.items[] | select(.ready_sessions < .desired_now)'`,
		Args: cobra.NoArgs,
		RunE: listKind("staging"),
	}
	asList(cmd).AddCommand(
		asList(&cobra.Command{
			Use: "list", Short: "List the staging configs and how their pools stand",
			Long:    "List the staging configs by name, with the desired, current and ready sessions of each and its conditions.",
			Example: "  greenroom staging list", Args: cobra.NoArgs, RunE: listKind("staging"),
		}),
		&cobra.Command{
			Use: "show NAME", Short: "Show one staging config and its conditions",
			Long:    "Show one staging config, how its pool stands, and what each condition says.",
			Example: "  greenroom staging show demo-east", Args: oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames), RunE: showStaging,
		},
		newStagingSetCommand(),
		newStagingWaitCommand(),
		newStagingRecycleCommand(),
		newStagingRetryCommand(),
	)
	return cmd
}

func stagingListing(ctx context.Context, c *client.Client) (listing, error) {
	l := listing{
		header: []string{"NAME", "ZONE", "IMAGE", "DESIRED", "CURRENT", "READY", "FILL", "UPDATED", "CONDITIONS"},
		wide:   []string{"REVISION", "EXPIRATION", "MAX UNAVAILABLE", "UPDATE", "SCHEDULES", "LABELS", "PRIORITY", "MAX SESSIONS", "PERMISSIONS"},
	}
	all, err := c.ListPools(ctx)
	l.raw = all.Raw
	for _, p := range all.Items {
		expiration := ""
		if p.Expiration != 0 {
			expiration = p.Expiration.String()
		}
		l.rows = append(l.rows, []string{
			p.Name, p.Zone, p.Image,
			strconv.Itoa(client.Desired(p)), strconv.Itoa(p.CurrentSessions), strconv.Itoa(p.ReadySessions), string(p.Fill), updated(p),
			conditionTypes(p.Conditions),
			p.Revision, expiration, p.MaxUnavailable, string(p.Update), strconv.Itoa(len(p.Schedule)),
			labelsFact(p.Labels), numberOrNone(p.Priority), numberOrNone(p.MaxSessions), permissionsOf(p.Permissions),
		})
	}
	return l, err
}

// permissionsOf lists permissions, each with its value.
func permissionsOf(all staging.Permissions) string {
	var set []string
	for _, p := range staging.AllPermissions {
		if v, ok := all[p]; ok {
			set = append(set, string(p)+"="+strconv.FormatBool(v))
		}
	}
	return strings.Join(set, " ")
}

func showStaging(cmd *cobra.Command, args []string) error {
	return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
		r, err := c.GetStagingWithResponse(ctx, name)
		if err := c.Answered(r, err, http.StatusOK); err != nil {
			return err
		}
		if output.WantsJSON(cmd) {
			return printBody(cmd, r.Body)
		}
		return printFacts(cmd.OutOrStdout(), poolFacts(*r.JSON200, time.Now()))
	})
}

// poolFacts are what greenroom staging show prints of a staging config and its pool.
func poolFacts(p httpapi.StagingPool, now time.Time) []fact {
	facts := []fact{
		{"name", p.Name},
		{"zone", p.Zone},
		{"image", p.Image},
		{"desired", desiredFact(p)},
		{"current", strconv.Itoa(p.CurrentSessions)},
		{"ready", strconv.Itoa(p.ReadySessions)},
		{"fill", string(p.Fill)},
		{"revision", p.Revision},
		{"updated", updated(p)},
		{"expiration", p.Expiration.String()},
		{"spread", spreadFact(p)},
	}
	if p.Priority > 0 {
		facts = append(facts, fact{"priority", strconv.Itoa(p.Priority)})
	}
	if p.MaxSessions > 0 {
		facts = append(facts, fact{"max_sessions", strconv.Itoa(p.MaxSessions)})
	}
	if len(p.Labels) > 0 {
		facts = append(facts, fact{"labels", labelsFact(p.Labels)})
	}
	if p.UsualSeconds > 0 {
		usual := time.Duration(p.UsualSeconds * float64(time.Second)).Round(100 * time.Millisecond)
		facts = append(facts, fact{"usual time to ready", usual.String()})
	}
	if p.Sizing != nil {
		facts = append(facts, fact{"sizing", sizingFact(*p.Sizing)})
	}
	if p.Sizing != nil && p.DemandSize != nil && p.Sizing.Mode == staging.SizingRecommend {
		facts = append(facts, fact{"recommended", p.DemandSize.Reason})
	}
	facts = append(facts, orderFacts(p, now)...)
	for _, c := range p.Conditions {
		facts = append(facts, fact{string(c.Type), c.Message + " (for " + age(c.Since, now) + ")"})
	}
	return facts
}

// spreadFact is over what a pool's sessions are spread.
func spreadFact(p httpapi.StagingPool) string {
	text := cmp.Or(p.Spread, staging.DefaultSpread)
	if p.DistinctHosts {
		text += ", one a node"
	}
	return text
}

// labelsFact are labels as a selector would name them.
func labelsFact(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return strings.Join(all, ",")
}

// sizingFact is how a pool follows its demand.
func sizingFact(s staging.Sizing) string {
	text := fmt.Sprintf("%s, %g%% served warm, %d to %d sessions", s.Mode, 100*s.Share(), s.Min, s.Max)
	if s.TimeZone != "" {
		text += ", days of " + s.TimeZone
	}
	return text
}

// updated says how many of the sessions that exist are of the current revision; "" while that
// is not known.
func updated(p httpapi.StagingPool) string {
	if p.UpdatedSessions == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d", *p.UpdatedSessions, p.CurrentSessions)
}

// desiredFact is how many sessions are wanted now, and why where that is not the config's own
// number alone.
func desiredFact(p httpapi.StagingPool) string {
	text := strconv.Itoa(client.Desired(p))
	if p.DesiredReason != "" {
		text += " (" + p.DesiredReason + ")"
	}
	return text
}

func conditionTypes(all []staging.Condition) string {
	types := make([]string, len(all))
	for i, c := range all {
		types[i] = string(c.Type)
	}
	return strings.Join(types, ",")
}
