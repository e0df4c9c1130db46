package redisstore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestARecordThatCannotBeReadConcernsItsSessionAlone: people write into Redis, too. Each
// kind of damage is done to a session of its own.
func TestARecordThatCannotBeReadConcernsItsSessionAlone(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	damage := map[string]func(key string) error{
		"gr-facts": func(key string) error { return s.rdb.HSet(ctx, key, "facts", "junk").Err() },
		"gr-state": func(key string) error { return s.rdb.HSet(ctx, key, "state", "junk").Err() },
		"gr-user":  func(key string) error { return s.rdb.HSet(ctx, key, "user", "[]").Err() },
		"gr-type": func(key string) error {
			if err := s.rdb.Del(ctx, key).Err(); err != nil {
				return err
			}
			return s.rdb.Set(ctx, key, "junk", 0).Err()
		},
	}
	want := map[string]staging.State{"gr-facts": staging.Pending, "gr-state": staging.DamagedState, "gr-user": staging.Pending, "gr-type": staging.DamagedState}
	for id, spoil := range damage {
		_, err := s.Record(ctx, session(id, time.Minute))
		must(t, err)
		must(t, spoil(s.sessionKey(id)))
	}
	_, err := s.Record(ctx, session("gr-good", time.Minute))
	must(t, err)

	read := func() map[string]staging.Session {
		t.Helper()
		all, err := s.Sessions(ctx)
		must(t, err)
		page, err := s.Page(ctx, staging.SessionFilter{}, staging.Position{}, 100)
		must(t, err)
		if len(page.Items) != len(all) {
			t.Errorf("a page has %d of %d sessions", len(page.Items), len(all))
		}
		byID := map[string]staging.Session{}
		for _, x := range all {
			byID[x.ID] = x
		}
		return byID
	}
	all := read()
	if len(all) != 5 || all["gr-good"].State != staging.Pending || all["gr-good"].Damaged != "" {
		t.Errorf("%+v", all)
	}
	for id, state := range want {
		x := all[id]
		one, err := s.Session(ctx, id)
		must(t, err)
		if x.State != staging.Quarantined || x.Damaged != state || one.Damaged != state || !strings.Contains(x.Reason, "cannot be read") {
			t.Errorf("%s: %+v", id, x)
		}
	}

	// Both ways out leave a record that can be read, and no other record changes.
	for id, state := range want {
		must(t, s.Discard(ctx, session("gr-good", 0)))
		x := session(id, time.Minute)
		if id == "gr-user" || id == "gr-type" {
			x.Damaged, x.Reason = state, "why"
			if now, err := s.Quarantine(ctx, x); err != nil || now != staging.Quarantined {
				t.Errorf("quarantine %s: %s, %v", id, now, err)
			}
			continue
		}
		must(t, s.Discard(ctx, x))
		if now, err := s.Record(ctx, x); err != nil || now != staging.Pending {
			t.Errorf("record %s again: %s, %v", id, now, err)
		}
	}
	var states []staging.State
	for id, x := range read() {
		if states = append(states, x.State); x.Damaged != "" {
			t.Errorf("%s: %+v", id, x)
		}
	}
	slices.Sort(states)
	if !slices.Equal(states, []staging.State{staging.Pending, staging.Pending, staging.Pending, staging.Quarantined, staging.Quarantined}) {
		t.Error(states)
	}
}
