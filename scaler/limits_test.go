package scaler

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestALimitIsAConditionWhileItKeepsThePoolFromGrowing, and none once the pool is as it shall be.
func TestALimitIsAConditionWhileItKeepsThePoolFromGrowing(t *testing.T) {
	reached := &staging.LimitReached{
		SessionLimit: staging.SessionLimit{Setting: "max_sessions", Kind: staging.KindImage, Name: "desk", Max: 10}, InUse: 10,
	}
	for _, c := range []struct {
		name    string
		desired int
		change  func(*PoolInput)
		want    string // "" for no condition
	}{
		{"of the image", 3, func(in *PoolInput) { in.Limit = reached }, "max_sessions of image desk allows 10 at once, staged and assigned together, and 10 are in use"},
		{"of the image, and the pool needs no more", 1, func(in *PoolInput) { in.Limit = reached }, ""},
		{"of the config", 3, func(in *PoolInput) { in.Config.MaxSessions, in.Taken = 4, 3 }, "max_sessions of staging config desk-east allows 4 at once, staged and assigned together, and 4 are in use"},
		{"of the config, and the pool needs no more", 1, func(in *PoolInput) { in.Config.MaxSessions, in.Taken = 4, 3 }, ""},
		{"of none", 3, func(*PoolInput) {}, ""},
	} {
		in := PoolInput{Config: staging.Config{Name: "desk-east"}, Desired: c.desired, HealthKnown: true, Members: []Member{member("a", staging.Ready, 1)}}
		c.change(&in)
		got := ""
		for _, condition := range Decide(in, DefaultBounds, noon).Conditions {
			if condition.Type == staging.SessionLimitReached {
				got += condition.Message
			}
		}
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
