package scaler

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// markerStore holds only markers: those placed last, and those with which trust was
// renewed last. full makes placing fail.
type markerStore struct {
	TrustStore
	placed, renewed map[string]string
	full            bool
	// elsewhere: the last markers were placed on another server. restarted counts how often the
	// keepalive periods were.
	elsewhere bool
	restarted int
}

func (m *markerStore) Elsewhere(context.Context, string) (bool, error) { return m.elsewhere, nil }

func (m *markerStore) RestartKeepalives(context.Context) error {
	m.restarted++
	return nil
}

func (m *markerStore) PlaceMarker(_ context.Context, zone, marker string) error {
	if m.full {
		return errors.New("OOM")
	}
	m.placed[zone] = marker
	return nil
}

func (m *markerStore) RenewTrust(_ context.Context, zone string, r staging.TrustRenewal) (bool, error) {
	if m.placed[zone] != r.Before {
		return false, nil
	}
	m.placed[zone], m.renewed[zone] = r.Marker, r.Marker
	return true, nil
}

type allHeld struct{ Locks }

func (allHeld) Held(string) bool { return true }

// TestARedisRestoredBeforeTrustIsRenewedIsNoticed: the marker from before the resync must
// still be there, even if trust in the zone was never renewed before.
func TestARedisRestoredBeforeTrustIsRenewedIsNoticed(t *testing.T) {
	for name, before := range map[string]map[string]string{"never trusted": {}, "trusted before": {"z": staging.NewClaimID()}} {
		t.Run(name, func(t *testing.T) {
			m := &markerStore{placed: map[string]string{}, renewed: map[string]string{}}
			log := logrus.New()
			log.SetOutput(io.Discard)
			s := New(Parts{TrustStore: m, Locks: allHeld{}, Log: logrus.NewEntry(log)}, Options{})
			state := trustState{resync: 1, acting: []string{"y", "z"}, consistent: []string{"z"}}
			if _, err := s.renewTrust(t.Context(), 1, nil); err != nil || len(m.renewed) > 0 {
				t.Errorf("renewed trust, or tried to, before the loop applied the resync: %v", err)
			}
			s.trustSnapshot.store(state)
			m.full = true
			if all, err := s.renewTrust(t.Context(), 1, s.placeMarkers(t.Context())); err != nil || !all || len(m.renewed) > 0 {
				t.Errorf("a Redis that accepts no writes: all %v, %v", all, err)
			}
			m.full = false
			if _, err := s.renewTrust(t.Context(), 1, nil); !errors.Is(err, errNoMarker) {
				t.Errorf("a resync that began without a marker: %v", err)
			}
			markers := s.placeMarkers(t.Context())
			m.placed = before // Redis is restored
			if _, err := s.renewTrust(t.Context(), 1, markers); !errors.Is(err, errWiped) || len(m.renewed) > 0 {
				t.Errorf("Redis was restored since it was read: %v, renewed %v", err, m.renewed)
			}
			markers = s.placeMarkers(t.Context())
			for range 2 {
				if all, err := s.renewTrust(t.Context(), 1, markers); err != nil || all || m.renewed["z"] != m.placed["z"] || m.renewed["y"] != "" {
					t.Errorf("all: %v, %v; renewed %v of %v", all, err, m.renewed, m.placed)
				}
			}
			state.consistent = state.acting
			s.trustSnapshot.store(state)
			if all, err := s.renewTrust(t.Context(), 1, markers); err != nil || !all {
				t.Errorf("with every zone consistent: all %v, %v", all, err)
			}
		})
	}
}

// TestAZoneIsConsistentWhenRedisIsRight: not while Redis calls a session ready that is gone
// or a user's, nor before Nomad was read; Nomad may be unreachable since.
func TestAZoneIsConsistentWhenRedisIsRight(t *testing.T) {
	v := poolView(staging.Image{})
	v.acting["z"] = true
	want := func(why string, zones int) {
		t.Helper()
		if got := v.trustState().consistent; len(got) != zones {
			t.Errorf("%s: %v", why, got)
		}
	}
	old := staging.Session{ID: "gr-old", State: staging.Ready, Origin: staging.Staged, Zone: "z", Image: "i", Staging: "p", CreatedAt: noon}
	v.resyncStore([]staging.Session{old}, noon)
	want("Nomad has not been read", 0)
	v.resyncFleet(fleetReading{began: noon}, noon)
	want("Redis calls a session ready that Nomad does not have", 0)
	v.resyncStore(nil, noon)
	v.forget("gr-old")
	want("Redis is right", 1)
	v.fleetKnown = false
	want("Nomad is unreachable since", 1)
	v.storeKnown = false
	want("Redis is not known", 0)
	v.resyncStore([]staging.Session{old}, noon)
	want("Redis was restored", 0)
}

// TestAnotherServerOfRedisMayHaveLostKeepalives: their periods start again, and the fates are read
// again, once for all zones; also where this scaler has just begun to act.
func TestAnotherServerOfRedisMayHaveLostKeepalives(t *testing.T) {
	m := &markerStore{placed: map[string]string{}, renewed: map[string]string{}}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := New(Parts{TrustStore: m, Locks: allHeld{}, Log: logrus.NewEntry(log)}, Options{})
	s.trustSnapshot.store(trustState{resync: 1, acting: []string{"y", "z"}, consistent: []string{"y"}})
	begins := func() error {
		_, err := s.renewTrust(t.Context(), 1, nil)
		return err
	}
	if s.placeMarkers(t.Context()); m.restarted != 0 {
		t.Error("the keepalive periods were restarted though the same server answers")
	}
	m.elsewhere = true
	s.placeMarkers(t.Context())
	if m.restarted != 1 || len(s.fleetResync) != 1 {
		t.Errorf("restarted %d times, %d resyncs requested; want one of each", m.restarted, len(s.fleetResync))
	}
	if err := begins(); !errors.Is(err, errNoMarker) || m.restarted != 2 {
		t.Errorf("a scaler that begins to act: %v, restarted %d times in all", err, m.restarted)
	}
}
