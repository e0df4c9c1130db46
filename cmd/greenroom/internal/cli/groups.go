package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/internal/staging"
)

func newGroupsCommand() *cobra.Command {
	return asList(&cobra.Command{
		Use:   "groups",
		Short: "List the groups and what they set",
		Long: `List the groups and what they set. A launch names its user's groups; where two set
the same, the one with the lowest priority number wins.

Groups are created and changed with greenroom apply.`,
		Example: `  greenroom groups
  greenroom groups -o json`,
		Args: cobra.NoArgs,
		RunE: listKind("group"),
	})
}

// settingsOf lists what a group sets, each in short.
func settingsOf(g staging.Group) []string {
	var set []string
	if g.Default {
		set = append(set, "default")
	}
	if permissions := permissionsOf(g.Permissions); permissions != "" {
		set = append(set, permissions)
	}
	if g.MaxSessionsPerUser != nil {
		set = append(set, "max_sessions_per_user="+strconv.Itoa(*g.MaxSessionsPerUser))
	}
	if limits := limitsOf(staging.Resolve([]staging.Group{g}).Terms); limits != "" {
		set = append(set, limits)
	}
	if g.WaitForRoom != nil {
		set = append(set, "wait_for_room="+g.WaitForRoom.String())
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
