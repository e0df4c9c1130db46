package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newGroupsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "groups",
		Short: "List the groups and what they set",
		Long: `List the groups and what they set. A launch names its user's groups; where two set
the same, the one with the lowest priority number wins.

Groups are created and changed with greenroom apply.`,
		Example: `  greenroom groups
  greenroom groups -o json`,
		Args: cobra.NoArgs,
		RunE: listGroups,
	}
}

func listGroups(cmd *cobra.Command, _ []string) error {
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	all, err := c.ListGroups(cmd.Context())
	if err != nil {
		return err
	}
	if output.WantsJSON(cmd) {
		return printItems(cmd, all.Raw)
	}
	var rows [][]string
	for _, g := range all.Items {
		rows = append(rows, []string{g.Name, strconv.Itoa(g.Priority), strings.Join(settingsOf(g), " ")})
	}
	return printTable(cmd.OutOrStdout(), []string{"NAME", "PRIORITY", "SETTINGS"}, rows)
}

// settingsOf lists what a group sets, each in short.
func settingsOf(g staging.Group) []string {
	var set []string
	if g.Default {
		set = append(set, "default")
	}
	for _, p := range staging.AllPermissions {
		if v, ok := g.Permissions[p]; ok {
			set = append(set, string(p)+"="+strconv.FormatBool(v))
		}
	}
	if g.MaxSessionsPerUser != nil {
		set = append(set, "max_sessions_per_user="+strconv.Itoa(*g.MaxSessionsPerUser))
	}
	for _, d := range []struct {
		name  string
		value staging.Duration
	}{{"keepalive_expiration", g.KeepaliveExpiration}, {"session_time_limit", g.SessionTimeLimit}, {"unhealthy_expiration", g.UnhealthyExpiration}} {
		if d.value != 0 {
			set = append(set, d.name+"="+d.value.String())
		}
	}
	if len(g.AllowedEnvironment) > 0 {
		set = append(set, "allowed_environment="+strings.Join(g.AllowedEnvironment, ","))
	}
	for _, b := range []struct {
		name  string
		value *bool
	}{{"expose_user_environment_vars", g.ExposeUserEnvironmentVars}, {"inject_ssh_keys", g.InjectSSHKeys}} {
		if b.value != nil {
			set = append(set, b.name+"="+strconv.FormatBool(*b.value))
		}
	}
	if len(g.RunConfig) > 0 {
		set = append(set, "run_config")
	}
	if len(g.VolumeMapping) > 0 {
		set = append(set, "volume_mapping")
	}
	if g.WebFilterPolicy != "" {
		set = append(set, "web_filter_policy="+g.WebFilterPolicy)
	}
	return set
}
