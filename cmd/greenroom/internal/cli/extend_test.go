package cli_test

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestExtend: by how much, or until when; what is beyond the bound is refused as things stand.
func TestExtend(t *testing.T) {
	c := clitest.New(t, "")
	at := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	c.Broker.SessionList = []staging.Session{{
		ID: "gr-1", State: staging.Assigned, Origin: staging.Staged, Zone: "east", Image: "demo", AssignedAt: at,
		Terms: staging.Terms{TimeLimit: staging.Duration(time.Hour), MaxExtension: staging.Duration(time.Hour)},
	}}
	for _, args := range [][]string{
		{"extend", "gr-1", "--by", "30m", "-o", "json"}, {"extend", "gr-1", "--until", "2026-11-24T07:30:00Z", "-o", "json"},
	} {
		c.Want(exit.OK, args, `"ends_at": "2026-11-24T07:30:00Z"`, `"extendable_until": "2026-11-24T08:00:00Z"`)
	}
	c.Want(exit.OK, []string{"extend", "gr-1", "--by", "30m"}, "ends", "may be extended until")
	c.Want(exit.Refused, []string{"extend", "gr-1", "--by", "2h"}, "its max_extension leaves 1h")
	c.Want(exit.NotFound, []string{"extend", "gr-2", "--by", "1h"})
	c.Want(exit.Usage, []string{"extend", "gr-1"})
	c.Want(exit.Usage, []string{"extend", "gr-1", "--until", "soon"}, "must be a time such as")
}
