package scaler

import (
	"context"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// lostRecords is a Consul that lost the fate and the profile's lease of a session.
type lostRecords struct {
	Registry
	taken []staging.ProfileLease
}

func (l *lostRecords) RestoreFate(_ context.Context, f staging.Fate) (staging.Fate, error) {
	return f, nil
}

func (l *lostRecords) Profiles(context.Context) ([]staging.ProfileLease, error) { return nil, nil }

func (l *lostRecords) ReleaseProfile(context.Context, staging.ProfileLease) error { return nil }

func (l *lostRecords) TakeProfile(_ context.Context, p staging.ProfileLease) (bool, staging.ProfileLease, error) {
	l.taken = append(l.taken, p)
	return true, p, nil
}

// TestALeaseOfAProfileThatARestoreLostIsTakenAgain, or the user's next launch would run beside
// the session that has the profile.
func TestALeaseOfAProfileThatARestoreLostIsTakenAgain(t *testing.T) {
	v := poolView(staging.Image{PersistentProfilePath: "/profiles/{user_id}"})
	e := runs(v, "gr-1")
	e.s.Origin, e.s.State, e.s.User, e.s.Claim, e.tagged, e.fateAbsent = staging.OnDemand, staging.Assigned, &staging.User{ID: "u"}, "c", true, true
	step, _ := DecideSession(v.unpooledOf(e), noon)
	if step == nil || step.Kind != RewriteFate {
		t.Fatalf("%+v", step)
	}
	consul := &lostRecords{}
	s := &Scaler{Parts: Parts{Registry: consul, Profiles: consul, Log: silent()}}
	r := s.apply(t.Context(), s.newTask(v, e, *step, noon))
	if r.err != nil || len(consul.taken) != 1 || consul.taken[0].Path != "/profiles/u" || consul.taken[0].Session != "gr-1" {
		t.Errorf("%+v, leases %+v", r, consul.taken)
	}
}
