package cli_test

import (
	"testing"
	"time"

	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestLaunchWaitsForRoom: --wait-for-room is the launch's, and the command waits for that, too,
// unless it is told how long to wait.
func TestLaunchWaitsForRoom(t *testing.T) {
	two, none := staging.Duration(2*time.Minute), staging.Duration(0)
	for _, x := range []struct {
		flags []string
		room  *staging.Duration
		wait  time.Duration
	}{
		{nil, nil, time.Minute},
		{[]string{"--wait-for-room", "2m"}, &two, 3 * time.Minute},
		{[]string{"--wait-for-room", "2m", "--wait", "5s"}, &two, 5 * time.Second},
		{[]string{"--wait-for-room", "0s"}, &none, time.Minute},
	} {
		c := clitest.New(t, "")
		c.Broker.Result = launching.Result{Session: clitest.UserSession()}
		c.Want(exit.OK, append([]string{"launch", "demo", "--zone", "east", "--user", "alice"}, x.flags...))
		asked := c.Broker.Asked
		if asked.Wait != x.wait || (asked.WaitForRoom == nil) != (x.room == nil) || x.room != nil && *asked.WaitForRoom != *x.room {
			t.Errorf("%v asked for room %v within %s, want %v within %s", x.flags, asked.WaitForRoom, asked.Wait, x.room, x.wait)
		}
	}
	c := clitest.New(t, "")
	c.Want(exit.Usage, []string{"launch", "demo", "--zone", "east", "--user", "alice", "--wait-for-room", "2h"}, "--wait-for-room: must be between 0s and 1h")
}
