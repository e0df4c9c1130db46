package devcluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestARemovalGoesOnForAsLongAsItGetsOn, and ends when nothing has been removed for a while.
func TestARemovalGoesOnForAsLongAsItGetsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p progress
		for left := 100; left > 0; left-- {
			if !p.goesOn(left) {
				t.Fatalf("it ended with %d left, though it got on", left)
			}
			time.Sleep(scrubPatience - time.Second)
		}
		if !p.goesOn(1) {
			t.Error("it ended before its patience was over")
		}
		time.Sleep(time.Second)
		if p.goesOn(1) || p.goesOn(2) {
			t.Error("it goes on though nothing is removed")
		}
	})
}
