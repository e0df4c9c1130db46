package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/access"
)

// TestTheMemoryOfRatesIsBounded, however many users launch, and however long their ids are.
func TestTheMemoryOfRatesIsBounded(t *testing.T) {
	now := time.Now()
	r := newRates(access.MinRate) // no limiter is full again within the hour
	for i := range 3 * maxLimiters {
		if err := r.spend(access.Caller{}, fmt.Sprint("u-", i), 1, now); err != nil {
			t.Fatalf("user %d: %v", i, err)
		}
	}
	if n := len(r.each); n > maxLimiters {
		t.Errorf("%d limiters are kept", n)
	}
	_ = r.spend(access.Caller{}, strings.Repeat("x", 1<<20), 1, now)
	for key := range r.each {
		if len(key) > 300 {
			t.Errorf("an id of %d bytes is kept", len(key))
		}
	}
	// After an hour all are full, and are dropped.
	for i := range 200 {
		_ = r.spend(access.Caller{}, fmt.Sprint("later-", i), 1, now.Add(3*time.Hour))
	}
	for range maxLimiters {
		_ = r.spend(access.Caller{}, fmt.Sprint("last-", len(r.each)), 1, now.Add(6*time.Hour))
	}
	if n := len(r.each); n > maxLimiters {
		t.Errorf("%d limiters are kept", n)
	}
	if _, kept := r.each["user:u-1"]; kept {
		t.Error("a limiter that is full again is kept")
	}
}

// TestALaunchSpendsFromBothRatesOrNone: a user who launches too fast does not spend the rate
// of the portal's token, which launches for others, too.
func TestALaunchSpendsFromBothRatesOrNone(t *testing.T) {
	now := time.Now()
	r := newRates(0.5) // bursts of one
	portal := access.Caller{Role: access.Launcher, Accessor: "tk-1", Rate: 3}
	passed := map[string]int{}
	for _, user := range []string{"eager", "eager", "eager", "other", "third", "fourth"} {
		if r.spend(portal, user, 1, now) == nil {
			passed[user]++
		}
	}
	if passed["eager"] != 1 || passed["other"] != 1 || passed["third"] != 1 || passed["fourth"] != 0 {
		t.Errorf("passed %v", passed)
	}
}

// TestALaunchOfMoreThanTheRateTakesAllOfIt: it could never pass otherwise.
func TestALaunchOfMoreThanTheRateTakesAllOfIt(t *testing.T) {
	now := time.Now()
	r := newRates(DefaultUserRate)
	if err := r.spend(access.Caller{}, "u", 32, now); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := r.spend(access.Caller{}, "u", 1, now); err == nil {
		t.Error("the next at once passed, too")
	}
	if err := r.spend(access.Caller{}, "u", userBurst*DefaultUserRate, now.Add(userBurst*time.Second)); err != nil {
		t.Errorf("once the rate is full again: %v", err)
	}
}
