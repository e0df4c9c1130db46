package staging_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestKeysAreRotated: the new key is accepted at once, and signs once all brokers have had time
// to read it; the older ones are accepted for the overlap and no longer.
func TestKeysAreRotated(t *testing.T) {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	rotate := func(k staging.SigningKeys, fresh string, now time.Time, overlap time.Duration) staging.SigningKeys {
		t.Helper()
		rotated, err := k.Rotate([]byte(fresh), now, overlap)
		if err != nil {
			t.Fatal(err)
		}
		return rotated
	}
	check := func(what string, k staging.SigningKeys, now time.Time, signs, accepted string) {
		t.Helper()
		if got := string(k.Signing(now)); got != signs {
			t.Errorf("%s: %s signs, want %s", what, got, signs)
		}
		var all []string
		for _, key := range k.Accepted(now) {
			all = append(all, string(key))
		}
		if got := strings.Join(all, " "); got != accepted {
			t.Errorf("%s: %s are accepted, want %s", what, got, accepted)
		}
	}
	first := staging.SigningKeys{{Key: []byte("a")}}
	check("before any rotation", first, at, "a", "a")
	second := rotate(first, "b", at, time.Hour)
	check("at once", second, at, "a", "b a")
	check("a moment later", second, at.Add(time.Minute), "b", "b a")
	check("at the end of the overlap", second, at.Add(time.Hour), "b", "b")
	check("before any rotation, by a clock that is late", second, at.Add(-time.Minute), "a", "b a")
	third := rotate(second, "c", at.Add(30*time.Minute), time.Hour)
	check("twice in the overlap", third, at.Add(40*time.Minute), "c", "c b a")
	check("after the overlap of the first", third, at.Add(time.Hour), "c", "c b")
	check("after both", third, at.Add(2*time.Hour), "c", "c")
	hasty := rotate(second, "c", at.Add(time.Second), time.Hour)
	check("twice before the first new key signs", hasty, at.Add(2*time.Second), "a", "c b a")
	check("and later", hasty, at.Add(time.Minute), "c", "c b a")
	check("without overlap", rotate(third, "d", at.Add(40*time.Minute), 0), at.Add(40*time.Minute), "d", "d")
	check("a shorter overlap after a longer one", rotate(second, "c", at, time.Minute), at.Add(time.Minute), "c", "c")
	check("those that ended are gone", rotate(second, "c", at.Add(2*time.Hour), time.Hour), at.Add(2*time.Hour), "b", "c b")
	if first[0].Until != (time.Time{}) {
		t.Error("the keys that were rotated have changed")
	}
}

// TestKeysAreBounded: each check of a signature tries all that are accepted.
func TestKeysAreBounded(t *testing.T) {
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	keys, err := staging.SigningKeys(nil).Rotate([]byte("0"), at, time.Hour)
	for n := 1; err == nil; n++ {
		if n > staging.MaxSigningKeys {
			t.Fatalf("%d keys", len(keys))
		}
		at = at.Add(time.Second)
		var more staging.SigningKeys
		if more, err = keys.Rotate([]byte(fmt.Sprint(n)), at, time.Hour); err == nil {
			keys = more
		}
	}
	if len(keys) != staging.MaxSigningKeys || !errors.As(err, new(*staging.InvalidError)) || !strings.Contains(err.Error(), "overlap: keeps 8 older keys") {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	if _, err := keys.Rotate([]byte("x"), at, 0); err != nil {
		t.Errorf("without overlap: %v", err)
	}
	for overlap, valid := range map[staging.Duration]bool{
		0: true, staging.DefaultOverlap: true, staging.MaxOverlap: true, -1: false, staging.MaxOverlap + 1: false,
	} {
		if err := staging.ValidateOverlap(overlap); (err == nil) != valid {
			t.Errorf("%s: %v", overlap, err)
		}
	}
	if text := fmt.Sprint(staging.SigningKeys{{Key: []byte("hunter2")}}); strings.Contains(text, "hunter2") || strings.Contains(text, "104 117") {
		t.Errorf("printed keys hold the secret: %s", text)
	}
}
