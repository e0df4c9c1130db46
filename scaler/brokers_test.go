package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestOnlyABrokerThatIsCertainlyDeadIsGone(t *testing.T) {
	claim := staging.NewClaimOf("b1")
	dead, alive, absent := map[string]bool{"b1": false}, map[string]bool{"b1": true}, map[string]bool{"b2": true}
	read := func(from brokers, found map[string]bool, after time.Duration) brokers {
		return from.read(found, noon.Add(after))
	}
	old := noon.Add(-time.Hour)
	for _, c := range []struct {
		what    string
		b       brokers
		claim   string
		movedAt time.Time
		want    bool
	}{
		{"listed as dead", read(read(brokers{}, dead, 0), dead, deadFor), claim, old, true},
		{"listed as dead a moment ago", read(read(read(brokers{}, dead, 0), alive, time.Second), dead, deadFor), claim, old, false},
		{"listed as dead once", read(brokers{}, dead, 0), claim, old, false},
		{"alive", read(brokers{}, alive, 0), claim, old, false},
		{"nothing is known", brokers{}, claim, old, false},
		{"the read is older than the claim", read(read(brokers{}, dead, 0), dead, deadFor), claim, noon.Add(deadFor), false},
		{"the claim is of an older version", read(brokers{}, dead, 0), "01claim", old, false},
		{"not listed, and never was", read(brokers{}, absent, 0), claim, old, false},
		{"not listed, a moment ago it was", read(read(brokers{}, alive, 0), absent, time.Second), claim, old, false},
		{"not listed for long", read(read(brokers{}, alive, 0), absent, absentFor), claim, old, true},
		{"not listed for long, but the claim is fresh", read(read(brokers{}, alive, 0), absent, absentFor), claim, noon.Add(absentFor - 5*time.Second), false},
		{"not listed after a read that failed", read(brokers{}, absent, absentFor), claim, old, false},
	} {
		if got := c.b.gone(c.claim, c.movedAt); got != c.want {
			t.Errorf("%s: gone %v, want %v", c.what, got, c.want)
		}
	}
}
