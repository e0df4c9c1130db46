package scaler

import (
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// hookFailureThreshold is how often an assign hook must fail in a row to become a
// condition: a single failure may be caused by the launch.
const hookFailureThreshold = 3

// conditions returns why a pool is not, or may soon not be, in its desired state, at
// most one condition of each type. failing is the member whose checks have failed for long;
// nil for none. stuck is the type of the condition for which the pool's rollout does not get on;
// "" if it does, or there is none. It is pure. The caller adds Since.
func conditions(in PoolInput, failing *Member, stuck staging.ConditionType) []staging.Condition {
	if in.Removed {
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
	if in.Paused != nil {
		add(staging.Paused, "%s", in.Paused.Condition().Message)
	}
	if in.Unreadable != "" {
		add(staging.ConfigUnreadable, "%s", in.Unreadable)
	}
	if in.Quarantined > 0 {
		add(staging.SessionQuarantined, "%s in quarantine, given to nobody and not ended, because each may be a user's: %s; end with greenroom sessions end what is nobody's", staging.Count(in.Quarantined, "session"), in.QuarantinedAre)
	}
	if in.NoZone {
		add(staging.ZoneMissing, "zone %q does not exist", in.Config.Zone)
	}
	if in.NoImage {
		add(staging.ImageMissing, "image %q does not exist", in.Config.Image)
	}
	if in.Blocked != nil {
		add(in.Blocked.Type, "%s", in.Blocked.Message)
	}
	if in.Denied != nil {
		add(in.Denied.Type, "%s", in.Denied.Message)
	}
	if h := in.AssignHook; h.Failures >= hookFailureThreshold {
		add(staging.HookFailing, "%s (%d in a row)", h.Last.Message, h.Failures)
	}
	if len(in.FailingNodes) > 0 {
		add(staging.NodeFailing, "%s", nodeFailing(in.Config.Image, in.FailingNodes))
	}
	if failing != nil {
		add(staging.HealthCheckFailing, "%s", failing.Check.Of(failing.ID, failing.Node))
	}
	for i := range in.Members {
		m := &in.Members[i]
		if m.Refused != nil && m.State == staging.Pending {
			add(m.Refused.Type, "%s%s", m.Refused.Message, apart(in, m))
		}
	}
	if in.HeldBack != "" && len(in.Members) < in.Desired {
		add(staging.CapacityExhausted, "%s", in.HeldBack)
	}
	if in.Lacking > 0 {
		c := lacking(in)
		add(c.Type, "%s", c.Message)
	}
	if f := in.Backoff.Last; f != nil && in.Backoff.paused() {
		message := fmt.Sprintf("%s (%d in a row)", f.Message, in.Backoff.Failures)
		if f.Type == staging.CrashLooping && in.LastWords != "" {
			message += "; " + in.LastWords
		}
		add(f.Type, "%s", message)
	}
	if stuck != "" {
		add(staging.RolloutStuck, "%s", rolloutStuck(in, stuck))
	}
	return cs
}

// apart says that a session waits because of distinct_hosts; "" if it does not.
func apart(in PoolInput, m *Member) string {
	if !in.Config.DistinctHosts || m.Excludes == 0 {
		return ""
	}
	return fmt.Sprintf("; %s with a session of this pool already, and distinct_hosts allows one a node", staging.Count(m.Excludes, "node"))
}

// What becomes of launches while a pool is drained.
const (
	launchesRefused  = "; launches of it are refused"
	launchesOnDemand = "; launches get sessions made on demand"
)

// blocked returns why a pool of this image and zone stages nothing and is drained, and what
// launches get meanwhile; nil when it may stage.
func blocked(i staging.Image, z staging.Zone) *staging.Failure {
	if !i.IsEnabled() {
		return &staging.Failure{
			Type: staging.ImageDisabled, Message: fmt.Sprintf("image %s is disabled; set enabled to true to stage it again", i.Name) + launchesRefused,
		}
	}
	if !i.AllowedIn(z.Name) {
		return &staging.Failure{
			Type:    staging.ImageRestricted,
			Message: fmt.Sprintf("image %s is restricted to %s, and this pool is in zone %s", i.Name, strings.Join(i.RestrictToZones, ", "), z.Name) + launchesRefused + " there",
		}
	}
	if why := i.WhyNotStageable(); why != "" {
		return &staging.Failure{Type: staging.ImageNotStageable, Message: why + launchesOnDemand}
	}
	if why := z.WhyNotStageable(); why != "" {
		return &staging.Failure{Type: staging.ZoneNotStageable, Message: why + launchesOnDemand}
	}
	return nil
}

// since sets each condition's Since: that of the same type in before, else now.
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
