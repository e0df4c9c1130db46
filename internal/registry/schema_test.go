package registry

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// ofVersion returns a stored record as one of another schema version.
func ofVersion(t *testing.T, stored []byte, version any) []byte {
	t.Helper()
	var fields map[string]any
	must(t, json.Unmarshal(stored, &fields))
	fields[schemaField] = version
	b, err := json.Marshal(fields)
	must(t, err)
	return b
}

// TestEveryRecordHasItsSchemaVersion, first of all, and a record without one reads the same.
func TestEveryRecordHasItsSchemaVersion(t *testing.T) {
	type empty struct{}
	for _, v := range []any{staging.Zone{Name: "east", Datacenters: []string{"dc1"}}, &staging.Fate{Session: "s"}, empty{}} {
		stored, err := encode(v)
		must(t, err)
		if !strings.HasPrefix(string(stored), `{"schema_version":1`) || !json.Valid(stored) {
			t.Errorf("stored as %s", stored)
		}
		must(t, schemaOf(stored))
	}
	want := staging.Zone{Name: "east", Datacenters: []string{"dc1"}}
	stored, err := encode(want)
	must(t, err)
	older, err := json.Marshal(want)
	must(t, err)
	for _, b := range [][]byte{stored, older, ofVersion(t, older, 1), ofVersion(t, older, nil)} {
		var got staging.Zone
		if err := decode(b, &got); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s is read as %+v, %v", b, got, err)
		}
	}
	for _, version := range []any{2, 10, 11} {
		got := staging.Zone{Name: "untouched"}
		_, ofNewer := errors.AsType[*staging.NewerError](decode(ofVersion(t, older, version), &got))
		if !ofNewer || got.Name != "untouched" {
			t.Errorf("version %v: read as %+v", version, got)
		}
	}
	for _, version := range []any{0, -1, "2", 1.5} {
		err := decode(ofVersion(t, older, version), new(staging.Zone))
		if _, ofNewer := errors.AsType[*staging.NewerError](err); err == nil || ofNewer {
			t.Errorf("version %v: %v", version, err)
		}
	}
}

// TestARecordOfANewerVersionIsLeftAlone: nothing reads, replaces or deletes it, and its neighbours
// are as they were.
func TestARecordOfANewerVersionIsLeftAlone(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	user := staging.User{ID: "u"}
	assigned := func(session string) staging.Fate {
		return staging.Fate{Session: session, Verdict: staging.VerdictAssigned, Claim: "c-" + session, User: &user, IdempotencyKey: "k-" + session, Fingerprint: "f"}
	}
	for _, name := range []string{"old", "new"} {
		_, err := r.PutZone(ctx, staging.Zone{Name: name, Datacenters: []string{"dc1"}})
		must(t, err)
		_, err = r.PutPause(ctx, staging.Pause{PauseTarget: staging.PauseTarget{Zone: name}, Reason: "works"})
		must(t, err)
		_, _, err = r.Order(ctx, name, func(*staging.PoolOrders) {})
		must(t, err)
		_, _, err = r.CreateFate(ctx, assigned(name))
		must(t, err)
		_, _, err = r.LockUser(ctx, access.UserLock{UserID: name, Reason: "left"})
		must(t, err)
		must(t, r.CreateToken(ctx, access.Token{Accessor: name}))
		must(t, r.NoteTokenUse(ctx, name, time.Now().Add(-time.Hour)))
		must(t, r.PutWebhookCursor(ctx, name, staging.WebhookCursor{Position: "1-0"}))
		_, _, err = r.TakeProfile(ctx, staging.ProfileLease{Path: name, Session: "s-" + name})
		must(t, err)
	}
	_, err := r.NextGeneration(ctx, 0)
	must(t, err)
	_, err = r.CreateInstallation(ctx, staging.Installation{ID: staging.NewInstallationID()})
	must(t, err)
	reservations, err := r.Reservations(ctx)
	must(t, err)
	_, err = r.StoreReservations(ctx, reservations)
	must(t, err)
	name := staging.GatewaySecret
	_, err = r.Keys(ctx, name)
	must(t, err)
	_, err = r.RotateKeys(ctx, []string{name}, time.Now(), time.Hour)
	must(t, err)

	newerPairs := map[string][]byte{}
	for what, key := range map[string]string{
		"zone": r.key(zones, "new"), "pause": r.pauseKey(staging.PauseTarget{Zone: "new"}), "orders": r.key(orders, "new"), "fate": r.fateKey("new"),
		"key": r.idempotencyKeyPath("k-new"), "user lock": r.userLockKey("new"), "token": r.tokenKey("new"), "token use": r.tokenUseKey("new"),
		"cursor": r.webhookCursorKey("new"), "profile": r.profileKey("new"), "generation": r.generationKey(), "installation": r.installationKey(),
		"reservations": r.reservationsKey(), "rotation": r.rotationKey(name),
	} {
		p, _, err := client.KV().Get(key, nil)
		must(t, err)
		if p == nil || schemaOf(p.Value) != nil || !strings.HasPrefix(string(p.Value), `{"schema_version":1`) {
			t.Fatalf("the %s is not stored with its version: %+v", what, p)
		}
		newerPairs[key] = ofVersion(t, p.Value, 2)
		_, err = client.KV().Put(&api.KVPair{Key: key, Value: newerPairs[key]}, nil)
		must(t, err)
	}
	_, err = r.Refresh(ctx)
	must(t, err)

	zone := r.Resources()
	if _, ok := zone.Zones["new"]; !ok {
		t.Error("the zone lost its last readable value")
	}
	if u := zone.Unreadable[r.key(zones, "new")]; !u.Newer || !u.Kept || !strings.Contains(u.String(), "newer greenroom") || !strings.Contains(u.String(), "use that greenroom") {
		t.Errorf("the zone of the newer version: %+v: %s", u, u)
	}
	if p := zone.Pauses[staging.PauseTarget{Zone: "new"}]; p.PauseTarget.Zone != "new" || !strings.Contains(p.Reason, "newer greenroom") {
		t.Errorf("the pause of the newer version: %+v", p)
	}
	if f, err := r.Fate(ctx, "new"); err != nil || f.Verdict != staging.VerdictUnreadable || !strings.Contains(f.Reason, "newer greenroom") {
		t.Errorf("the fate of the newer version: %+v, %v", f, err)
	}
	for what, refused := range map[string]func() error{
		"put zone": func() error {
			_, err := r.PutZone(ctx, staging.Zone{Name: "new", Datacenters: []string{"dc2"}})
			return err
		},
		"delete zone": func() error { _, err := r.DeleteZone(ctx, "new"); return err },
		"put pause": func() error {
			_, err := r.PutPause(ctx, staging.Pause{PauseTarget: staging.PauseTarget{Zone: "new"}})
			return err
		},
		"delete pause":    func() error { _, err := r.DeletePause(ctx, staging.PauseTarget{Zone: "new"}); return err },
		"order":           func() error { _, _, err := r.Order(ctx, "new", func(*staging.PoolOrders) {}); return err },
		"read key":        func() error { _, err := r.Key(ctx, "k-new"); return err },
		"unlock":          func() error { _, err := r.UnlockUser(ctx, "new"); return err },
		"change token":    func() error { _, _, err := r.ChangeToken(ctx, "new", same); return err },
		"cursor":          func() error { _, err := r.WebhookCursor(ctx, "new"); return err },
		"profile":         func() error { _, err := r.ProfileHolder(ctx, "new"); return err },
		"free profile":    func() error { return r.ReleaseProfile(ctx, staging.ProfileLease{Path: "new", Session: "s-new"}) },
		"generation":      func() error { _, err := r.Generation(ctx); return err },
		"next generation": func() error { _, err := r.NextGeneration(ctx, 0); return err },
		"restored":        func() error { _, err := r.Restored(ctx, 9); return err },
		"installation":    func() error { _, err := r.Installation(ctx); return err },
		"adopt":           func() error { _, err := r.Adopt(ctx, staging.NoInstallation); return err },
		"reservations":    func() error { _, err := r.Reservations(ctx); return err },
		"rotate":          func() error { _, err := r.RotateKeys(ctx, []string{name}, time.Now(), time.Hour); return err },
	} {
		if n, ok := errors.AsType[*staging.NewerError](refused()); !ok || n.Version != 2 {
			t.Errorf("%s: not refused as of a newer version", what)
		}
	}
	if made, stands, err := r.LockUser(ctx, access.UserLock{UserID: "new", Reason: "again"}); made || err != nil || stands.UserID != "new" || !strings.Contains(stands.Reason, "newer greenroom") {
		t.Errorf("a lock of the newer version: made %v, %+v, %v", made, stands, err)
	}
	must(t, r.NoteSessionsEnded(ctx, "new"))
	must(t, r.DeleteFate(ctx, "new"))
	must(t, r.ReleaseKey(ctx, "k-new", "c-new"))
	must(t, r.NoteTokenUse(ctx, "new", time.Now()))
	rival := assigned("new")
	rival.Claim, rival.IdempotencyKey, rival.Fingerprint = "rival", "", ""
	if won, f, err := r.CreateFate(ctx, rival); won || err != nil || f.Verdict != staging.VerdictUnreadable {
		t.Errorf("a claim of a session whose fate is of the newer version: won %v, %+v, %v", won, f, err)
	}
	if locked, err := r.UserLocked(ctx, "new"); !locked || err != nil {
		t.Errorf("a user whose lock is of the newer version is let in: %v", err)
	}
	for key, want := range newerPairs {
		p, _, err := client.KV().Get(key, nil)
		must(t, err)
		if p == nil || string(p.Value) != string(want) {
			t.Errorf("%s was not left alone: %+v", key, p)
		}
	}
	oldOnesWork(t, ctx, r)
	// What is to be locked out is locked out, whichever version made it.
	if _, err := r.RevokeToken(ctx, "new"); err != nil {
		t.Errorf("a token of the newer version is not revoked: %v", err)
	}
}

func same(t access.Token) (access.Token, error) { return t, nil }

// oldOnesWork: what stands beside the records of a newer version is read, changed and deleted.
func oldOnesWork(t *testing.T, ctx context.Context, r *Registry) {
	t.Helper()
	if f, err := r.Fate(ctx, "old"); err != nil || f.Verdict != staging.VerdictAssigned {
		t.Errorf("the fate beside it: %+v, %v", f, err)
	}
	if _, err := r.PutZone(ctx, staging.Zone{Name: "old", Datacenters: []string{"dc2"}}); err != nil || r.Resources().Zones["old"].Datacenters[0] != "dc2" {
		t.Errorf("the zone beside it: %v", err)
	}
	if tokens := r.Tokens(); len(tokens.Unreadable) > 1 {
		t.Errorf("tokens that cannot be read: %v", tokens.Unreadable)
	}
	for what, works := range map[string]func() error{
		"pause":   func() error { _, err := r.DeletePause(ctx, staging.PauseTarget{Zone: "old"}); return err },
		"token":   func() error { _, _, err := r.ChangeToken(ctx, "old", same); return err },
		"unlock":  func() error { _, err := r.UnlockUser(ctx, "old"); return err },
		"cursor":  func() error { _, err := r.WebhookCursor(ctx, "old"); return err },
		"profile": func() error { return r.ReleaseProfile(ctx, staging.ProfileLease{Path: "old", Session: "s-old"}) },
		"fate":    func() error { return r.DeleteFate(ctx, "old") },
	} {
		if err := works(); err != nil {
			t.Errorf("the %s beside it: %v", what, err)
		}
	}
}
