package scaler

import (
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestDecideSession(t *testing.T) {
	running := Unpooled{HasJob: true, Running: true, Passing: true, TouchedAt: noon}
	with := func(change func(*Unpooled)) Unpooled {
		x := running
		change(&x)
		return x
	}
	old := noon.Add(-time.Hour)
	cases := []struct {
		name string
		x    Unpooled
		want Kind // "" for nothing
		wake time.Duration
	}{
		{"an assigned session may end within moments", with(func(x *Unpooled) { x.State, x.Fate = staging.Assigned, staging.VerdictAssigned }), "", tagAfter},
		{"an assigned session that goes on is tagged", with(func(x *Unpooled) {
			x.State, x.Fate, x.TouchedAt = staging.Assigned, staging.VerdictAssigned, noon.Add(-tagAfter)
		}), Tag, 0},
		{"a tagged session needs nothing", with(func(x *Unpooled) { x.State, x.Fate, x.Tagged = staging.Assigned, staging.VerdictAssigned, true }), "", 0},
		{
			"an assigned session is decided again when the first of its terms is over",
			with(func(x *Unpooled) {
				x.State, x.Tagged, x.EndsAt, x.KeepaliveUntil = staging.Assigned, true, noon.Add(time.Hour), noon.Add(time.Minute)
			}), "", time.Minute,
		},
		{"a time limit that is over ends it, tagged or not", with(func(x *Unpooled) { x.State, x.EndsAt = staging.Assigned, noon }), ExpireLimit, 0},
		{"an idle session is warned of, or ended, as Redis decides", with(func(x *Unpooled) { x.State, x.IdleDue = staging.Assigned, noon }), ExpireIdle, 0},
		{"that its user never came is decided by Redis", with(func(x *Unpooled) { x.State, x.UnvisitedEndsAt = staging.Assigned, noon }), ExpireUnvisited, 0},
		{
			"a session that is not used is decided again when it may be idle",
			with(func(x *Unpooled) {
				x.State, x.Tagged, x.IdleDue, x.UnvisitedEndsAt = staging.Assigned, true, noon.Add(time.Minute), noon.Add(time.Hour)
			}), "", time.Minute,
		},
		{"an expired keepalive is decided by Redis", with(func(x *Unpooled) { x.State, x.KeepaliveUntil = staging.Assigned, noon }), ExpireKeepalive, 0},
		{
			"on demand: the first_launch hook runs before the assignment",
			with(func(x *Unpooled) { x.State, x.Origin, x.FirstLaunch = staging.Starting, staging.OnDemand, true }), FirstLaunch, 0,
		},
		{"an assigned session that ended by itself is ended", with(func(x *Unpooled) { x.State, x.Over = staging.Assigned, true }), End, 0},
		{"an assigned session whose job is gone is ended", with(func(x *Unpooled) { x.State, x.HasJob, x.Missing = staging.Assigned, false, true }), End, 0},
		{"an assigned session whose job was not observed yet is left alone", with(func(x *Unpooled) { x.State, x.HasJob = staging.Assigned, false }), "", 0},
		{"an assigned session that Nomad hides is left alone", with(func(x *Unpooled) {
			x.State, x.HasJob, x.Unknown, x.Running, x.EndsAt = staging.Assigned, false, true, false, old
		}), "", 0},
		{"a session that Nomad hides and Redis lost is left alone", with(func(x *Unpooled) {
			x.HasJob, x.Unknown, x.Running, x.TouchedAt = false, true, false, old
		}), "", 0},
		{"an ending session that Nomad hides is left alone", with(func(x *Unpooled) { x.State, x.Unknown, x.TouchedAt = staging.Ending, true, old }), "", 0},
		{"an ending session whose job is gone is marked ended", with(func(x *Unpooled) { x.State, x.HasJob, x.Missing = staging.Ending, false, true }), MarkEnded, 0},
		{"an on-demand session that is healthy is assigned", with(func(x *Unpooled) { x.State, x.Origin = staging.Starting, staging.OnDemand }), Assign, 0},
		{"an on-demand session that starts is recorded", with(func(x *Unpooled) { x.State, x.Origin, x.Passing = staging.Pending, staging.OnDemand, false }), Record, 0},
		{
			"an on-demand session that cannot start is ended",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Running, x.Failure = staging.Pending, staging.OnDemand, false, &staging.Failure{Message: "no image"}
			}), End, 0,
		},
		{
			"on demand and no node accepts it: ended after a while",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Running, x.TouchedAt = staging.Pending, staging.OnDemand, false, old
				x.Refused = &staging.Failure{Message: "no room"}
			}), End, 0,
		},
		{
			"on demand and its checks never pass: ended after a while",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Passing, x.HealthKnown, x.RunningSince = staging.Starting, staging.OnDemand, false, true, old
			}), End, 0,
		},
		{
			"on demand and whether its checks pass is not known: left alone",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Passing, x.RunningSince = staging.Starting, staging.OnDemand, false, old
			}), "", orphanTimeout,
		},
		{
			"on demand and up before, on a node that is disconnected, in a Redis that was restored: left alone",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Running, x.Passing, x.WasUp, x.TouchedAt = staging.Starting, staging.OnDemand, false, false, true, old
			}), "", 0,
		},
		{
			"on demand and up before, in a Redis that was restored: its user's",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Passing, x.WasUp, x.HealthKnown, x.RunningSince = staging.Starting, staging.OnDemand, false, true, true, old
			}), Assign, 0,
		},
		{
			"on demand and still starting: decided again",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.Passing, x.HealthKnown, x.RunningSince = staging.Starting, staging.OnDemand, false, true, noon
			}), "", DefaultBounds.StartTimeout,
		},
		{"a retiring session gets time to stop", with(func(x *Unpooled) { x.State = staging.Retiring }), "", stopTimeout},
		{"a retirement that hangs is repeated from the start", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Retiring, old }), Retire, 0},
		{"an ending session that runs on is stopped", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Ending, old }), Stop, 0},
		{"an ending session that was stopped is waited for", with(func(x *Unpooled) { x.State, x.Stopped, x.TouchedAt = staging.Ending, true, old }), "", 0},
		{"an ending session of which nothing runs is marked ended", with(func(x *Unpooled) { x.State, x.Over = staging.Ending, true }), MarkEnded, 0},
		{"an ended session is kept for its logs", with(func(x *Unpooled) { x.State, x.EndedNoticedAt = staging.Ended, noon }), "", purgeDelay},
		{"an end that was noticed only now is kept as long", with(func(x *Unpooled) { x.State = staging.Ended }), "", purgeDelay},
		{"an ended session is purged after the delay", with(func(x *Unpooled) { x.State, x.EndedNoticedAt = staging.Ended, old }), Purge, 0},
		{"Redis lost it, its fate assigns it", with(func(x *Unpooled) { x.Fate, x.Origin = staging.VerdictAssigned, staging.Staged }), Restore, 0},
		{"Redis was restored to before the claim", with(func(x *Unpooled) { x.State, x.Fate, x.Origin = staging.Ready, staging.VerdictAssigned, staging.Staged }), Restore, 0},
		{"Redis retires what Consul has assigned", with(func(x *Unpooled) {
			x.State, x.Fate, x.Origin = staging.Retiring, staging.VerdictAssigned, staging.Staged
		}), Restore, 0},
		{
			"Redis was restored to before the claim, and the session is over",
			with(func(x *Unpooled) {
				x.State, x.Fate, x.Origin, x.Over = staging.Ready, staging.VerdictAssigned, staging.Staged, true
			}), MarkEnded, 0,
		},
		{"Redis lost it, it has no fate", with(func(x *Unpooled) { x.Origin = staging.Staged }), Record, 0},
		{"Redis lost its retirement", with(func(x *Unpooled) { x.State, x.Fate, x.Origin = staging.Ready, staging.VerdictRetired, staging.Staged }), Retire, 0},
		{"a fresh claim is left alone", with(func(x *Unpooled) { x.State, x.Origin = staging.Claimed, staging.Staged }), "", readClaimAfter},
		{
			"whose a claim is that takes long is read",
			with(func(x *Unpooled) {
				x.State, x.Origin, x.TouchedAt = staging.Claimed, staging.Staged, noon.Add(-readClaimAfter)
			}), ReadClaim, 0,
		},
		{
			"a claim in progress is left alone",
			with(func(x *Unpooled) { x.State, x.Origin, x.ClaimRead = staging.Claimed, staging.Staged, true }), "", staging.ClaimLease,
		},
		{"a claim whose broker is gone is ended", with(func(x *Unpooled) {
			x.State, x.Fate, x.HookPending, x.Lease, x.ClaimRead, x.BrokerGone = staging.Claimed, staging.VerdictAssigned, true, noon.Add(time.Minute), true, true
		}), End, 0},
		{"a finished claim whose broker is gone is its user's", with(func(x *Unpooled) {
			x.State, x.Fate, x.ClaimRead, x.BrokerGone = staging.Claimed, staging.VerdictAssigned, true, true
		}), Assign, 0},
		{"a claim with a finished fate is assigned", with(func(x *Unpooled) { x.State, x.Fate = staging.Claimed, staging.VerdictAssigned }), Assign, 0},
		{
			"a claim whose hook is unfinished keeps its lease", with(func(x *Unpooled) {
				x.State, x.Fate, x.HookPending, x.Lease = staging.Claimed, staging.VerdictAssigned, true, noon.Add(time.Second)
			}), "", time.Second,
		},
		{
			"a claim whose hook is unfinished is ended after its lease", with(func(x *Unpooled) {
				x.State, x.Fate, x.HookPending, x.Lease = staging.Claimed, staging.VerdictAssigned, true, noon.Add(-time.Second)
			}), End, 0,
		},
		{"a claim without a fate is ended after its lease", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Claimed, old }), End, 0},
		{"a record whose job was never registered is marked ended after a while", with(func(x *Unpooled) { x.State, x.HasJob, x.Missing, x.TouchedAt = staging.Pending, false, true, old }), MarkEnded, 0},
		{"a record whose job is being registered is left alone", with(func(x *Unpooled) { x.State, x.HasJob, x.Missing = staging.Pending, false, true }), "", orphanTimeout},
		{"a record whose job was not looked up yet is left alone", with(func(x *Unpooled) { x.State, x.HasJob, x.TouchedAt = staging.Pending, false, old }), "", 0},
		{"on demand, without record and fate: quarantined after a while", with(func(x *Unpooled) { x.Origin, x.TouchedAt, x.Quarantine = staging.OnDemand, old, "why" }), Quarantine, 0},
		{"a fate that cannot be read: taken out of its queue", with(func(x *Unpooled) { x.State, x.Fate, x.Quarantine = staging.Ready, staging.VerdictUnreadable, "why" }), Quarantine, 0},
		{"a fate that cannot be read, a user's in Redis: left alone", with(func(x *Unpooled) {
			x.State, x.Fate, x.Quarantine, x.EndsAt = staging.Assigned, staging.VerdictUnreadable, "why", old
		}), "", 0},
		{"quarantined and ended by an administrator: stopped", with(func(x *Unpooled) { x.State, x.TouchedAt = staging.Ending, old }), Stop, 0},
		{"quarantined, and nothing of it runs: ended", with(func(x *Unpooled) { x.State, x.Quarantine, x.Over = staging.Quarantined, "why", true }), End, 0},
		{"quarantined, with a readable fate again: restored", with(func(x *Unpooled) { x.State, x.Fate = staging.Quarantined, staging.VerdictAssigned }), Restore, 0},
		{"a record in Redis that cannot be read: discarded", with(func(x *Unpooled) { x.State, x.Damaged, x.Damage = "", true, "why" }), Discard, 0},
		{"the same of a user's: discarded, and then restored", with(func(x *Unpooled) {
			x.State, x.Damaged, x.Damage, x.Fate = "", true, "why", staging.VerdictAssigned
		}), Discard, 0},
		{"the same of one that was given to somebody, without a fate: quarantined", with(func(x *Unpooled) {
			x.State, x.Damaged, x.Damage, x.Quarantine = "", true, "why", "why"
		}), Quarantine, 0},
		{"a user's, whose fate Consul lost: written again", with(func(x *Unpooled) { x.State, x.FateLost = staging.Assigned, true }), RewriteFate, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			step, wake := DecideSession(c.x, noon)
			got := Kind("")
			if step != nil {
				got = step.Kind
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.wake != 0 && wake.Sub(noon) != c.wake {
				t.Errorf("wakes after %s, want %s", wake.Sub(noon), c.wake)
			}
		})
	}
}
