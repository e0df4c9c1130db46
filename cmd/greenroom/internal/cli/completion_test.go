package cli_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestEveryCommandSaysWhatItDoesAndShowsIt(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, cmd.Name()) {
			t.Errorf("%s: Short %q, Long %q, Example %q", cmd.CommandPath(), cmd.Short, cmd.Long, cmd.Example)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(strings.TrimRight(line, "\n")) > 100 && cmd.Name() != "end" && cmd.Name() != "list" {
				t.Errorf("%s: a line of the help is longer than a terminal: %s", cmd.CommandPath(), line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(cli.NewRootCommand())
}

func TestCompletion(t *testing.T) {
	c := clitest.New(t, "")
	for shell, of := range map[string]string{"bash": "bash", "zsh": "#compdef greenroom", "fish": "complete -c greenroom", "powershell": "Register-ArgumentCompleter"} {
		script := c.Want(exit.OK, []string{"completion", shell}, of, "greenroom")
		if shell == "bash" {
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(script)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("bash does not take the script: %v\n%s", err, out)
			}
		}
	}
	c.Want(exit.Usage, []string{"completion", "csh"}, "csh")
	c.Want(exit.Usage, []string{"completion"}, "SHELL")

	c.Broker.ZoneByName["east"] = staging.Zone{Name: "east"}
	c.Broker.ImageByName["desktop"] = staging.Image{Name: "desktop"}
	c.Broker.GroupByName["students"] = staging.Group{Name: "students"}
	c.Broker.ConfigByName["desktop-east"] = staging.Config{Name: "desktop-east", Zone: "east", Image: "desktop", DesiredSessions: 3}
	session := clitest.UserSession()
	session.Revision = "6f1d0a9c2b7e"
	c.Broker.SessionList = []staging.Session{session}
	c.Broker.Tokens = []admin.TokenInfo{{Token: access.Token{Accessor: "tk-1", Name: "portal"}}}
	// This is how the scripts ask.
	for _, tt := range []struct{ line, want string }{
		{"launch |", "desktop"},
		{"launch desktop --zone |", "east"},
		{"launch desktop --group |", "students"},
		{"staging show |", "desktop-east\t1 of 3 ready"},
		{"staging set |", "desktop-east"},
		{"sessions show |", "gr-1\tassigned, alice"},
		{"sessions end |", "gr-1"},
		{"logs |", "gr-1"},
		{"exec |", "gr-1"},
		{"completion |", "fish"},
		{"sessions end gr-9 |", "gr-1"},
		{"sessions --user |", "u-1\talice"},
		{"sessions end --user |", "u-1"},
		{"sessions --revision |", "6f1d0a9c2b7e\t1 of image demo"},
		{"sessions --revision |", "old\tany"},
		{"sessions --state |", "quarantined"},
		{"sessions --origin |", "on_demand"},
		{"sessions -o |", "wide"},
		{"status -o |", "yaml"},
		{"token create --role |", "viewer"},
		{"token revoke |", "tk-1\tportal"},
		{"token rotate |", "tk-1"},
		{"staging wait |", "desktop-east"},
		{"events --type |", "hook_failed"},
		{"events --staging |", "desktop-east"},
		{"events --user |", "u-1"},
		{"events --zone |", "east"},
		{"events --session |", "gr-1"},
		{"launch desktop --user-id |", "u-1"},
		{"bench --image |", "desktop"},
		{"bench --zone |", "east"},
		{"user lock |", "u-1"},
		{"get |", "all"},
		{"get image |", "desktop"},
		{"get image -o |", "hcl"},
		{"get image/|", "image/desktop"},
		{"get zone/other zones/|", "zones/east"},
		{"get image/desktop |", "staging/"},
		{"delete image/|", "image/desktop"},
		{"delete staging/other staging/|", "staging/desktop-east"},
		{"delete |", "staging"},
		{"delete zone |", "east"},
		{"delete staging other |", "desktop-east"},
		{"conf|", "config"},
	} {
		before, _, _ := strings.Cut(tt.line, "|")
		args := append([]string{"__complete"}, strings.Fields(before)...)
		if strings.HasSuffix(before, " ") {
			args = append(args, "")
		}
		c.Want(exit.OK, args, tt.want)
	}
	if out := c.Want(exit.OK, []string{"__complete", "launch", "desktop", ""}); strings.Contains(out, "desktop\n") {
		t.Errorf("a second image is offered: %s", out)
	}
	// A broker that is away completes nothing, and does not hang.
	t.Setenv("GREENROOM_ADDR", "127.0.0.1:1")
	c.Want(exit.OK, []string{"__complete", "launch", ""})
}
