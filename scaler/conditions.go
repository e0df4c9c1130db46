package scaler

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// conditions says in words why a pool is not, or may soon not be, as its config
// wants it. It is pure; Since is added where the conditions are kept.
func conditions(v View) []staging.Condition {
	if v.Removed {
		return nil
	}
	var cs []staging.Condition
	add := func(t staging.ConditionType, format string, args ...any) {
		for _, c := range cs {
			if c.Type == t {
				return
			}
		}
		cs = append(cs, staging.Condition{Type: t, Message: fmt.Sprintf(format, args...)})
	}
	if v.NoZone {
		add(staging.ZoneMissing, "zone %q does not exist", v.Config.Zone)
	}
	if v.NoImage {
		add(staging.ImageMissing, "image %q does not exist", v.Config.Image)
	}
	for _, m := range v.Members {
		if m.Refused != nil && m.State == staging.Pending {
			add(m.Refused.Type, "%s", m.Refused.Message)
		}
	}
	if f := v.Backoff.Last; f != nil && v.Backoff.Failures > 0 {
		add(f.Type, "%s (%d in a row)", f.Message, v.Backoff.Failures)
	}
	return cs
}

// since gives each condition the time since when it holds: that of the same
// condition before, or now.
func since(before, after []staging.Condition, now time.Time) []staging.Condition {
	for i := range after {
		after[i].Since = now
		for _, b := range before {
			if b.Type == after[i].Type {
				after[i].Since = b.Since
			}
		}
	}
	return after
}
