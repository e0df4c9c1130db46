package staging

import (
	"testing"
	"time"
)

func TestAProfileIsFreeWhenNothingOfItsSessionRunsOrWillRun(t *testing.T) {
	for _, c := range []struct {
		what    string
		remains Remains
		seenFor time.Duration
		want    bool
	}{
		{"its job runs", Remains{Job: true, MayRun: true}, time.Hour, false},
		{"its job is stopped, and it saves", Remains{Job: true, MayRun: true}, 0, false},
		{"it has ended", Remains{Job: true}, 0, true},
		{"its launch may be about to register the job", Remains{}, 0, false},
		{"its launch may still be", Remains{}, ProfileStray - time.Second, false},
		{"its launch never did, or its job was purged", Remains{}, ProfileStray, true},
	} {
		if got := ProfileFree(c.remains, c.seenFor); got != c.want {
			t.Errorf("%s: free %t, want %t", c.what, got, c.want)
		}
	}
	if ProfileStray < 2*ProfileRegister {
		t.Error("a launch that stood still may register its job after the lease was freed")
	}
}

func TestTwoSpellingsOfADirectoryAreOneProfile(t *testing.T) {
	u := User{ID: "u-1", Name: "ann"}
	for path, want := range map[string]string{
		"": "", "/srv/{user_id}": "/srv/u-1", "/srv/./{user_id}/": "/srv/u-1",
	} {
		if got, err := (Image{PersistentProfilePath: path}).ProfileOf(u); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", path, got, err, want)
		}
	}
	if got, err := (Image{PersistentProfilePath: "/srv/{user_id}"}).ProfileOf(User{Name: "ann"}); err == nil {
		t.Errorf("a user without an id: %q", got)
	}
}
