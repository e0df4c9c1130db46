package scaler

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// marks is a store of nothing but marks: those there are, and of which zones a scaler
// has said that they are right.
type marks struct {
	TrustStore
	there, vouched map[string]string
	full           bool
}

func (m *marks) PlaceMarker(_ context.Context, zone, mark string) error {
	if m.full {
		return errors.New("OOM")
	}
	m.there[zone] = mark
	return nil
}

func (m *marks) RenewTrust(_ context.Context, zone, before, mark string, _ bool) (bool, error) {
	if m.there[zone] != before {
		return false, nil
	}
	m.there[zone], m.vouched[zone] = mark, mark
	return true, nil
}

type held struct{ Locks }

func (held) Held(string) bool { return true }

// TestARedisPutBackBeforeTheFirstWordIsNoticed: from before Redis is read, this reading's
// own mark must be there, also where nobody has ever vouched for the zone.
func TestARedisPutBackBeforeTheFirstWordIsNoticed(t *testing.T) {
	for name, before := range map[string]map[string]string{"never vouched for": {}, "vouched for": {"z": staging.NewClaimID()}} {
		t.Run(name, func(t *testing.T) {
			m := &marks{there: map[string]string{}, vouched: map[string]string{}}
			log := logrus.New()
			log.SetOutput(io.Discard)
			s := New(Parts{TrustStore: m, Locks: held{}, Log: logrus.NewEntry(log)}, Options{})
			right := trustState{resync: 1, acting: []string{"y", "z"}, consistent: []string{"z"}}
			if _, err := s.renewTrust(t.Context(), 1, nil); err != nil || len(m.vouched) > 0 {
				t.Errorf("vouched, or tried to, for what is not known: %v", err)
			}
			s.trustSnapshot.store(right)
			m.full = true
			if all, err := s.renewTrust(t.Context(), 1, s.placeMarkers(t.Context())); err != nil || !all || len(m.vouched) > 0 {
				t.Errorf("a Redis that takes no writes: all %v, %v", all, err)
			}
			m.full = false
			if _, err := s.renewTrust(t.Context(), 1, nil); !errors.Is(err, errNoMarker) {
				t.Errorf("a reading that began without a mark: %v", err)
			}
			left := s.placeMarkers(t.Context())
			m.there = before // Redis is put back
			if _, err := s.renewTrust(t.Context(), 1, left); !errors.Is(err, errWiped) || len(m.vouched) > 0 {
				t.Errorf("Redis was put back since it was read: %v, vouched %v", err, m.vouched)
			}
			left = s.placeMarkers(t.Context())
			for range 2 {
				if all, err := s.renewTrust(t.Context(), 1, left); err != nil || all || m.vouched["z"] != m.there["z"] || m.vouched["y"] != "" {
					t.Errorf("all: %v, %v; vouched %v of %v", all, err, m.vouched, m.there)
				}
			}
			right.consistent = right.acting
			s.trustSnapshot.store(right)
			if all, err := s.renewTrust(t.Context(), 1, left); err != nil || !all {
				t.Errorf("with every zone right: all %v, %v", all, err)
			}
		})
	}
}
