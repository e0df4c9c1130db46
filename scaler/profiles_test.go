package scaler

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// leases are leases of profiles in memory.
type leases struct {
	mu   sync.Mutex
	all  []staging.ProfileLease
	fail error
}

func (l *leases) Profiles(context.Context) ([]staging.ProfileLease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all), l.fail
}

func (l *leases) TakeProfile(context.Context, staging.ProfileLease) (bool, staging.ProfileLease, error) {
	return false, staging.ProfileLease{}, errors.New("nobody takes one here")
}

func (l *leases) ReleaseProfile(_ context.Context, lease staging.ProfileLease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(x staging.ProfileLease) bool { return x.Session == lease.Session })
	return l.fail
}

// remainsFleet answers what is left of sessions.
type remainsFleet struct {
	Fleet
	of  map[string]staging.Remains
	err error
}

func (f remainsFleet) Remains(_ context.Context, s staging.Session) (staging.Remains, error) {
	return f.of[s.ID], f.err
}

// TestOnlyNomadFreesAProfile: a lease is freed in the zones in which the scaler acts, when
// Nomad says that nothing of its session runs, and by nothing else.
func TestOnlyNomadFreesAProfile(t *testing.T) {
	for _, c := range []struct {
		what    string
		zone    string
		known   bool // Nomad's list shows its job as running
		remains staging.Remains
		err     error
		want    time.Duration // when it is freed; 0 for never
	}{
		{what: "it ended", remains: staging.Remains{Job: true}, want: time.Second},
		{what: "it saves", remains: staging.Remains{Job: true, MayRun: true}},
		{what: "it never had a job", want: staging.ProfileStray + 2*profilesPoll},
		{what: "Nomad does not answer", err: errors.New("refused")},
		{what: "it runs", known: true},
		{what: "another scaler acts in its zone", zone: "west", remains: staging.Remains{Job: true}},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				zone := c.zone
				if zone == "" {
					zone = "east"
				}
				store := &leases{all: []staging.ProfileLease{{Path: "/p", Session: "gr-1", Zone: zone}}}
				v := poolView(staging.Image{})
				v.acting["east"] = true
				if c.known {
					runs(v, "gr-1")
				}
				s := &Scaler{
					Parts:   Parts{Profiles: store, Fleet: remainsFleet{of: map[string]staging.Remains{"gr-1": c.remains}, err: c.err}, Log: logrus.NewEntry(logrus.New())},
					updates: make(chan func(*view)),
				}
				done := make(chan struct{}, 2)
				go func() { s.freeProfiles(ctx); done <- struct{}{} }()
				go func() {
					defer func() { done <- struct{}{} }()
					for {
						select {
						case update := <-s.updates:
							update(v)
						case <-ctx.Done():
							return
						}
					}
				}()
				wait := c.want
				if wait == 0 {
					wait = time.Hour
				}
				time.Sleep(wait)
				synctest.Wait()
				left, err := store.Profiles(ctx)
				if err != nil || (len(left) == 0) != (c.want > 0) {
					t.Errorf("after %s: %+v %v", wait, left, err)
				}
				cancel()
				<-done
				<-done
				if !v.sessionZones[zone] {
					t.Error("the zone's lock is not wanted for as long as it has leases")
				}
			})
		})
	}
}

// TestAnEndedSessionKeepsItsJobWhileItHasAProfile: without the job nothing would show whether
// it still saves.
func TestAnEndedSessionKeepsItsJobWhileItHasAProfile(t *testing.T) {
	x := Unpooled{State: staging.Ended, Origin: staging.OnDemand, HasJob: true, HasProfile: true, EndedNoticedAt: noon.Add(-time.Hour)}
	if step, wake := DecideSession(x, noon); step != nil || !wake.After(noon) {
		t.Errorf("%+v, wakes at %s", step, wake)
	}
	x.HasProfile = false
	if step, _ := DecideSession(x, noon); step == nil || step.Kind != Purge {
		t.Errorf("%+v", step)
	}
}
