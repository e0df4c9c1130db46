package gateway

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestClocksMayDiffer: what a broker seals counts at a gateway whose clock is behind or ahead by no
// more than the leeway, and neither earlier nor later.
func TestClocksMayDiffer(t *testing.T) {
	keys := staging.SigningKeys{{Key: []byte("secret")}}
	const allowed = 30 * time.Second
	made := time.Unix(1_800_000_000, 0)
	for k, life := range map[kind]time.Duration{aCode: CodeLife, aPass: passLife} {
		text := seal{until: made.Add(life), claim: claimTag("c")}.sign(keys, k, "gr-1", made)
		for after, want := range map[time.Duration]bool{
			-allowed - time.Second: false, -allowed: true, 0: true, life - time.Second: true,
			life: true, life + allowed - time.Second: true, life + allowed: false, life + time.Hour: false, -time.Hour: false,
		} {
			if _, ok := verify(keys, k, "gr-1", text, made.Add(after)); ok != want {
				t.Errorf("a %s, %s after it was made: %t, want %t", k, after, ok, want)
			}
		}
	}
}
