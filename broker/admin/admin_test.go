package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/audit"
	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// memory is a registry in memory.
type memory struct{ staging.Resources }

func newMemory() *memory {
	return &memory{staging.Resources{
		Zones: map[string]staging.Zone{}, Images: map[string]staging.Image{}, Groups: map[string]staging.Group{}, Configs: map[string]staging.Config{},
		Webhooks: map[string]staging.Webhook{},
	}}
}

func (m *memory) Refresh(context.Context) (staging.Resources, error) { return m.Resources, nil }

func put[T staging.Confidential[T]](m map[string]T, name string, v T) (*T, error) {
	var before *T
	if had, ok := m[name]; ok {
		before = &had
	}
	whole, err := staging.KeepHidden(name, v, before)
	if err != nil {
		return nil, err
	}
	m[name] = whole
	return before, nil
}

func remove[T any](m map[string]T, name string) (*T, error) {
	before, had := m[name]
	delete(m, name)
	if !had {
		return nil, staging.ErrNoResource
	}
	return &before, nil
}

func (m *memory) PutZone(_ context.Context, z staging.Zone) (*staging.Zone, error) {
	return put(m.Zones, z.Name, z)
}

func (m *memory) PutImage(_ context.Context, i staging.Image) (*staging.Image, error) {
	return put(m.Images, i.Name, i)
}

func (m *memory) PutConfig(_ context.Context, c staging.Config) (*staging.Config, error) {
	return put(m.Configs, c.Name, c)
}

func (m *memory) PutGroup(_ context.Context, g staging.Group) (*staging.Group, error) {
	return put(m.Groups, g.Name, g)
}

func (m *memory) PutWebhook(_ context.Context, w staging.Webhook) (*staging.Webhook, error) {
	return put(m.Webhooks, w.Name, w)
}

func (m *memory) DeleteWebhook(_ context.Context, name string) (*staging.Webhook, error) {
	return remove(m.Webhooks, name)
}

func (m *memory) DeleteZone(_ context.Context, name string) (*staging.Zone, error) {
	return remove(m.Zones, name)
}

func (m *memory) DeleteImage(_ context.Context, name string) (*staging.Image, error) {
	return remove(m.Images, name)
}

func (m *memory) DeleteConfig(_ context.Context, name string) (*staging.Config, error) {
	return remove(m.Configs, name)
}

func (m *memory) DeleteGroup(_ context.Context, name string) (*staging.Group, error) {
	return remove(m.Groups, name)
}

// nomad accepts every jobspec but "refused".
type nomad struct{}

func (nomad) Ping(context.Context) error                      { return nil }
func (nomad) OwnRegion(context.Context, string) (bool, error) { return true, nil }
func (nomad) Warnings(context.Context, staging.Image) ([]string, error) {
	return []string{"jobspec: the spread of the job has no effect"}, nil
}

func (nomad) Check(_ context.Context, i staging.Image) error {
	if i.Jobspec == "refused" {
		return staging.Invalid("image", "jobspec", "is refused")
	}
	return nil
}

// numbers counts two sessions in every pool.
type numbers struct{}

func (numbers) Pools(_ context.Context, configs []staging.Config) ([]status.Pool, error) {
	var pools []status.Pool
	for _, c := range configs {
		pools = append(pools, status.Pool{Config: c, Current: 2})
	}
	return pools, nil
}

// noAnswer is a token store that does not answer.
type noAnswer struct{ admin.TokenStore }

func (noAnswer) CreateToken(context.Context, access.Token) error { return errors.New("no answer") }

// keyring rotates keys that nobody has.
type keyring struct{}

func (keyring) RotateKeys(_ context.Context, names []string, now time.Time, overlap time.Duration) (staging.Rotation, error) {
	if overlap == time.Hour {
		return staging.Rotation{}, errors.New("no answer")
	}
	return staging.Rotation{Names: names, SignsFrom: now, AcceptedUntil: now.Add(overlap)}, nil
}

// records are the audit records that were kept as events.
type records []staging.Audit

func (r *records) Note(_ context.Context, e staging.Event) error {
	*r = append(*r, e.Audit)
	return nil
}

func on(m *memory) (*admin.Admin, *records) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := &records{}
	work := background.New(1)
	auditor := audit.New(r, work, logrus.NewEntry(log), false)
	return admin.New(admin.Servers{Registry: m, Tokens: noAnswer{}, Secrets: keyring{}, Fleet: nomad{}, Names: staging.DefaultNames}, numbers{}, nil, auditor, work, admin.Options{Limits: staging.DefaultLimits}), r
}

// TestWhatMayHaveBeenDoneIsAudited: a write that Consul did not answer may have
// been made all the same.
func TestWhatMayHaveBeenDoneIsAudited(t *testing.T) {
	a, r := on(newMemory())
	ctx := access.Call{Caller: access.Caller{Role: access.Admin, Accessor: "tk-1"}, Operation: "createToken", RequestID: "req-1"}.In(t.Context())
	_, _, err := a.Tokens.Create(ctx, access.TokenRequest{Name: "n", Role: access.Viewer})
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.ConsulUnavailable {
		t.Fatalf("%v", err)
	}
	all := *r
	if len(all) != 1 || all[0].Outcome != staging.AuditUnknown || all[0].Who != "token:tk-1" || all[0].Reason != "no answer" || all[0].RequestID != "req-1" {
		t.Errorf("the records are %+v", all)
	}
}

// sample is one resource of each kind, which can be stored in this order.
var (
	sampleZone   = staging.Zone{Name: "east", Datacenters: []string{"dc1"}, AllowOriginDomain: "example.org", UpstreamAuthAddress: "broker:7480"}
	sampleImage  = staging.Image{Name: "demo", Jobspec: "job", Variables: map[string]string{"password": "hunter2"}}
	sampleGroup  = staging.Group{Name: "students"}
	sampleConfig = staging.Config{Name: "p", Zone: "east", Image: "demo", DesiredSessions: 1}
)

// TestEveryKindIsStoredListedAndDeleted: the four kinds go through the same code, and each
// change is recorded without secrets.
func TestEveryKindIsStoredListedAndDeleted(t *testing.T) {
	a, r := on(newMemory())
	ctx := t.Context()
	for what, store := range map[string]func() (bool, error){
		"zone":  func() (bool, error) { _, created, err := a.Zones.Put(ctx, sampleZone); return created, err },
		"group": func() (bool, error) { _, created, err := a.Groups.Put(ctx, sampleGroup); return created, err },
	} {
		for _, wantCreated := range []bool{true, false} {
			if created, err := store(); err != nil || created != wantCreated {
				t.Errorf("put %s: created %v, want %v, %v", what, created, wantCreated, err)
			}
		}
	}
	if _, _, err := a.Images.Put(ctx, sampleImage); err != nil {
		t.Fatal(err)
	}
	p, created, err := a.Pools.Put(ctx, sampleConfig)
	if err != nil || !created || p.Name != "p" || p.Current != 2 {
		t.Errorf("put staging config: %+v %v %v", p, created, err)
	}
	zones, err := a.Zones.List(ctx)
	if err != nil || len(zones) != 1 || zones[0].Name != "east" {
		t.Errorf("list zones: %+v %v", zones, err)
	}
	if pools, err := a.Pools.List(ctx); err != nil || len(pools) != 1 || pools[0].Current != 2 {
		t.Errorf("list staging configs: %+v %v", pools, err)
	}
	if z, err := a.Zones.Get(ctx, "east"); err != nil || z.UpstreamAuthAddress != "broker:7480" {
		t.Errorf("get zone: %+v %v", z, err)
	}
	for what, err := range map[string]error{
		"zone": a.Zones.Delete(ctx, "east"), "image": a.Images.Delete(ctx, "demo"),
	} {
		if kindOf(err) != refusal.InUse || !strings.Contains(err.Error(), "staging config p") {
			t.Errorf("delete %s that a staging config names: %v", what, err)
		}
	}
	for _, err := range []error{a.Pools.Delete(ctx, "p"), a.Images.Delete(ctx, "demo"), a.Groups.Delete(ctx, "students"), a.Zones.Delete(ctx, "east")} {
		if err != nil {
			t.Error(err)
		}
	}
	before := len(*r)
	if _, err := a.Zones.Get(ctx, "east"); kindOf(err) != refusal.NotFound {
		t.Errorf("get what was deleted: %v", err)
	}
	if err := a.Groups.Delete(ctx, "students"); kindOf(err) != refusal.NotFound {
		t.Errorf("delete what was deleted: %v", err)
	}
	if len(*r) != before || before != 10 {
		t.Errorf("%d records of 10 changes, then %d", before, len(*r))
	}
	for _, record := range *r {
		if strings.Contains(record.Before+record.After, "hunter2") {
			t.Errorf("a record holds a secret: %+v", record)
		}
	}
}

func kindOf(err error) refusal.Kind {
	var e *refusal.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// TestWhatBreaksARuleIsNotStored, nor recorded as changed; and Check finds the same.
func TestWhatBreaksARuleIsNotStored(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		set    admin.Set
		fields []string
	}{
		"a zone by itself":         {admin.Set{Zones: []staging.Zone{{Name: "west"}}}, []string{"zones[0].datacenters"}},
		"a jobspec Nomad refuses":  {admin.Set{Images: []staging.Image{{Name: "i", Jobspec: "refused"}}}, []string{"images[0].jobspec"}},
		"an image of no such zone": {admin.Set{Images: []staging.Image{{Name: "i", Jobspec: "job", RestrictToZones: []string{"none"}}}}, []string{"images[0].restrict_to_zones[0]"}},
		"a config of no zone":      {admin.Set{Configs: []staging.Config{sampleConfig}}, []string{"staging[0].zone", "staging[0].image"}},
		"an image with faults of every kind": {
			admin.Set{Images: []staging.Image{{
				Name: "i", Jobspec: "refused", Variables: map[string]string{"9x": "1"}, RestrictToZones: []string{"none", "neither"}, AllowedGroups: []string{"nobody"},
				ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Timeout: -1}},
			}}},
			[]string{
				"images[0].variables.9x", "images[0].exec_config.assign.cmd", "images[0].exec_config.assign.timeout",
				"images[0].restrict_to_zones[0]", "images[0].restrict_to_zones[1]", "images[0].allowed_groups[0]", "images[0].jobspec",
			},
		},
	} {
		m := newMemory()
		a, r := on(m)
		var errs []error
		for _, z := range c.set.Zones {
			_, _, err := a.Zones.Put(ctx, z)
			errs = append(errs, err)
		}
		for _, i := range c.set.Images {
			_, _, err := a.Images.Put(ctx, i)
			errs = append(errs, err)
		}
		for _, p := range c.set.Configs {
			_, _, err := a.Pools.Put(ctx, p)
			errs = append(errs, err)
		}
		for _, err := range append(errs, a.Check(ctx, c.set)) {
			var invalid *staging.InvalidError
			if !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var invalid *staging.InvalidError
		if errors.As(a.Check(ctx, c.set), &invalid) {
			var fields []string
			for _, f := range invalid.Fields {
				fields = append(fields, f.Field)
			}
			if !slices.Equal(fields, c.fields) {
				t.Errorf("%s: Check names %v, want %v", name, fields, c.fields)
			}
		}
		if len(*r) != 0 || len(m.Zones)+len(m.Images)+len(m.Configs) != 0 {
			t.Errorf("%s: stored %+v, recorded %+v", name, m.Resources, *r)
		}
	}
}

// TestASetIsCheckedAsIfAllOfItWereStored: each part may name another.
func TestASetIsCheckedAsIfAllOfItWereStored(t *testing.T) {
	m := newMemory()
	a, _ := on(m)
	set := admin.Set{
		Zones: []staging.Zone{sampleZone}, Images: []staging.Image{sampleImage}, Groups: []staging.Group{sampleGroup}, Configs: []staging.Config{sampleConfig},
	}
	if err := a.Check(t.Context(), set); err != nil {
		t.Error(err)
	}
	if n := max(len(m.Zones), len(m.Images), len(m.Groups), len(m.Configs)); n != 0 {
		t.Errorf("Check stored %+v", m.Resources)
	}
}

// TestWhatIsHiddenIsKeptWhenItIsStoredAgain, by what is stored and by a check of a set; the
// record of the change shows neither value.
func TestWhatIsHiddenIsKeptWhenItIsStoredAgain(t *testing.T) {
	m := newMemory()
	a, r := on(m)
	ctx := t.Context()
	if _, _, err := a.Images.Put(ctx, sampleImage); err != nil {
		t.Fatal(err)
	}
	again := staging.Redacted(sampleImage)
	again.WebFilterPolicy = "strict"
	want := sampleImage
	want.WebFilterPolicy = "strict"
	if err := a.Check(ctx, admin.Set{Images: []staging.Image{again}}); err != nil {
		t.Errorf("check: %v", err)
	}
	stored, created, err := a.Images.Put(ctx, again)
	if diff := cmp.Diff(want, stored); err != nil || created || diff != "" {
		t.Errorf("put: created %t, %v (-want +stored):\n%s", created, err, diff)
	}
	if diff := cmp.Diff(want, m.Images["demo"]); diff != "" {
		t.Errorf("(-want +stored):\n%s", diff)
	}
	if text := fmt.Sprint(*r); strings.Contains(text, "hunter2") || strings.Contains(text, "changed)") {
		t.Errorf("the records are %s", text)
	}

	again.Variables = map[string]string{"other": staging.Hidden}
	again.Jobspec = "refused"
	_, _, err = a.Images.Put(ctx, again)
	for what, tt := range map[string]struct {
		err   error
		field string
	}{"put": {err, "variables.other"}, "check": {a.Check(ctx, admin.Set{Images: []staging.Image{again}}), "images[0].variables.other"}} {
		if invalid, ok := errors.AsType[*staging.InvalidError](tt.err); !ok || len(invalid.Fields) != 1 || invalid.Fields[0].Field != tt.field {
			t.Errorf("%s: %v, want %s", what, tt.err, tt.field)
		}
	}
	if diff := cmp.Diff(want, m.Images["demo"]); diff != "" || len(*r) != 2 {
		t.Errorf("what was refused was stored or recorded: %+v (-want +stored):\n%s", *r, diff)
	}
}

// TestARotationIsRecorded, and one that may have been made as well.
func TestARotationIsRecorded(t *testing.T) {
	a, r := on(newMemory())
	ctx := access.Call{Caller: access.Caller{Role: access.Admin, Accessor: "tk-1"}, Operation: "rotateSecrets"}.In(t.Context())
	done, err := a.Secrets.Rotate(ctx, staging.DefaultOverlap)
	if err != nil || !slices.Equal(done.Names, []string{"access", "login", "gateway"}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := a.Secrets.Rotate(ctx, staging.Duration(time.Hour)); kindOf(err) != refusal.ConsulUnavailable {
		t.Error(err)
	}
	if _, err := a.Secrets.Rotate(ctx, -1); !errors.As(err, new(*staging.InvalidError)) {
		t.Error(err)
	}
	all := *r
	if len(all) != 2 || all[0].Outcome != staging.AuditChanged || all[0].Who != "token:tk-1" || all[0].Target != "keys access, login, gateway" ||
		!strings.Contains(all[0].After, "accepted_until") || all[1].Outcome != staging.AuditUnknown {
		t.Errorf("the records are %+v", all)
	}
}
