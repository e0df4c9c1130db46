package cli_test

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// TestUserCommand locks, lists and unlocks users, whatever their ids are.
func TestUserCommand(t *testing.T) {
	c := clitest.New(t, "")
	c.Want(exit.OK, []string{"user", "lock", "a b/c|1", "--reason", "the laptop\nwas stolen"}, "user a b/c|1 is locked", "ended 1 of the user's sessions: gr-1")
	c.Want(exit.OK, []string{"user", "lock", "a b/c|1"}, "was locked before", "the brokers go on ending them")
	if out := c.Want(exit.OK, []string{"user", "list"}, "LOCKED BY", "a b/c|1", "token:tk-1", "ending", "the laptop"); strings.Count(out, "\n") != 2 {
		t.Errorf("a reason with a line feed breaks the table:\n%s", out)
	}
	c.Want(exit.OK, []string{"user", "list", "-o", "json"}, `"user_id": "a b/c|1"`, `"sessions_ended": false`)
	c.Want(exit.OK, []string{"user", "unlock", "a b/c|1"}, "user a b/c|1 is unlocked")
	c.Want(exit.NotFound, []string{"user", "unlock", "a b/c|1"}, "is not locked", "not_found")
	c.Want(exit.OK, []string{"user", "lock", "u-1", "-o", "json"}, `"ended_sessions": [`, `"gr-1"`)
	for want, args := range map[string][]string{
		"user's id": {"user", "lock"},
		"user_id":   {"user", "lock", strings.Repeat("x", 257)},
		"reason":    {"user", "lock", "u-1", "--reason", strings.Repeat("x", 1025)},
	} {
		c.Want(exit.Usage, args, want)
	}
}
