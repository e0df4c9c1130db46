package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestNamesOfServicesFitInADNSLabel: Nomad refuses the jobs of a longer one. What an older
// version has stored may still be changed.
func TestNamesOfServicesFitInADNSLabel(t *testing.T) {
	m := newMemory()
	a, _ := on(m)
	ctx := t.Context()
	zone := func(letters int) staging.Zone {
		z := sampleZone
		z.Name = strings.Repeat("z", letters)
		return z
	}
	if _, _, err := a.Zones.Put(ctx, zone(43)); err != nil {
		t.Error(err)
	}
	if _, _, err := a.Zones.Put(ctx, zone(44)); err == nil || !strings.Contains(err.Error(), "must be at most 43 characters, is 44: its service greenroom-on-demand-"+zone(44).Name) {
		t.Errorf("a zone of 44 characters: %v", err)
	}
	m.Zones[zone(45).Name] = zone(45)
	if _, created, err := a.Zones.Put(ctx, zone(45)); err != nil || created {
		t.Errorf("a zone that an older version stored: created %v, %v", created, err)
	}
	m.Zones["east"], m.Images["demo"] = sampleZone, sampleImage
	for letters, good := range map[int]bool{45: true, 46: false} {
		c := sampleConfig
		c.Name = strings.Repeat("p", letters)
		if _, _, err := a.Pools.Put(ctx, c); (err == nil) != good {
			t.Errorf("a staging config of %d characters: %v", letters, err)
		}
	} // What is checked before a change is held to the same, and what it would store is not stored.
	long := sampleConfig
	long.Name, long.Zone = strings.Repeat("p", 46), zone(44).Name
	err := a.Check(ctx, admin.Set{Zones: []staging.Zone{zone(44), zone(45)}, Images: []staging.Image{sampleImage}, Configs: []staging.Config{long}})
	invalid, ok := errors.AsType[*staging.InvalidError](err)
	if !ok || len(invalid.Fields) != 2 || invalid.Fields[0].Field != "zones[0].name" || invalid.Fields[1].Field != "staging[0].name" {
		t.Errorf("the check of a set with names that are too long: %v", err)
	}
}
