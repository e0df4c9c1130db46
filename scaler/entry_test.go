package scaler

import (
	"testing"
	"time"
	"unsafe"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestALeaseIsCountedOnTheScalersClock: a broker whose clock is an hour off is neither cut off
// early nor waited for longer.
func TestALeaseIsCountedOnTheScalersClock(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
		for _, claimSeen := range []bool{true, false} {
			v := poolView(staging.Image{})
			e := runs(v, "gr-1")
			if claimSeen {
				v.applyEvent(staging.Event{Type: staging.EventClaimed, Session: "gr-1", Pool: "p"}, noon)
			}
			e.s.State, e.claimRead = staging.Claimed, true
			decided := noon.Add(skew)
			f := staging.Fate{
				Session: "gr-1", Verdict: staging.VerdictAssigned, Claim: "c", HookPending: true,
				DecidedAt: decided, Lease: decided.Add(staging.ClaimLease),
			}
			seen, want := noon, staging.ClaimLease
			if claimSeen {
				// The fate is read only at the next resync; the claim was seen at once.
				seen, want = noon.Add(time.Minute), staging.ClaimLease+fateDelay
			}
			for range 2 { // seen again, it starts no new lease
				e.setFate(f, seen)
				seen = seen.Add(time.Minute)
			}
			if step, wake := DecideSession(v.unpooledOf(e), noon.Add(want-time.Second)); step != nil || !wake.Equal(noon.Add(want)) {
				t.Errorf("skew %s, claim seen %t, before the end: %+v, wakes at %s", skew, claimSeen, step, wake)
			}
			if step, _ := DecideSession(v.unpooledOf(e), noon.Add(want)); step == nil || step.Kind != End {
				t.Errorf("skew %s, claim seen %t, at the end: %+v", skew, claimSeen, step)
			}
		}
	}
}

// TestAnEntryIsNotLarger than the memory that Go reserves for it: one more word would cost every
// session 256 bytes.
func TestAnEntryIsNotLarger(t *testing.T) {
	// Go reserves 1536 bytes, of which it needs 8 itself, or else 1792.
	if size := unsafe.Sizeof(entry{}); size > 1536-8 {
		t.Errorf("an entry has %d bytes", size)
	}
}
