package staging

import (
	"strings"
	"testing"
	"time"
)

// TestAScheduleThatNeverBeginsIsRefused, whatever day it is; one that an earlier version
// stored is read.
func TestAScheduleThatNeverBeginsIsRefused(t *testing.T) {
	for _, c := range []struct {
		cron string
		says string // "" for accepted
	}{
		{"0 13 * * MON-FRI", ""},
		{"0 0 29 2 *", ""},
		{"0 0 31 4,5 *", ""},
		{"0 0 30 2 MON", ""}, // every Monday in February: one of the two days is enough
		{"@daily", ""},
		{"0 0 30 2 *", `schedule[0].cron: must name a day that exists, because "0 0 30 2 *" never begins`},
		{"0 0 31 4,6,9,11 *", "never begins"},
		{"0 * 31 2 *", "never begins"},
		{"@every 1h", `"@every 1h" begins at none`},
		{"61 * * * *", `schedule[0].cron: is "61 * * * *": its minute must be 0 to 59, is "61"`},
		{"0 24 0 * MOO", `its hour must be 0 to 23, is "24"; its day of month must be 1 to 31, is "0"; its day of week must be 0 to 6, or SUN to SAT, is "MOO"`},
		{"0 0 * 9-13 *", "its month must be 1 to 12, or JAN to DEC, is \"9-13\""},
		{"0 0 * *", "must be minute, hour"},
	} {
		config := Config{
			Name: "c", Zone: "z", Image: "i", DesiredSessions: 1,
			Schedule: []Schedule{{Cron: c.cron, TimeZone: "Europe/Berlin", Duration: Duration(time.Hour), DesiredSessions: 2}},
		}
		err := config.Validate(DefaultLimits)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.cron, err, c.says)
		}
		stored := config.Validate(Limits{MaxDesiredSessions: 1000, Stored: true})
		if (stored != nil) != strings.Contains(c.says, "must be") {
			t.Errorf("%s, stored: %v", c.cron, stored)
		}
	}
}
