package status_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// servers are the three servers in memory: one zone with two pools.
type servers struct {
	status.Store
	// untrusted: no scaler has renewed the trust in Redis.
	untrusted bool
	// wanted sessions of pool p are not ready, and one is on the way for so long.
	wanted   int
	onTheWay time.Duration
	// recent and stored are the history of any pool in Redis, as of now, and in Consul. sizes are
	// what the pools' demand asks for.
	recent, stored []staging.Minute
	now            time.Time
	sizes          map[string]*staging.DemandSize
	// fail makes the call of that name fail.
	fail map[string]error
}

func (s *servers) Resources() staging.Resources {
	return staging.Resources{
		Zones: map[string]staging.Zone{"east": {Name: "east", Datacenters: []string{"dc1"}}},
		Configs: map[string]staging.Config{
			"h": {Name: "h", Zone: "east", Image: "hooked"}, "p": {Name: "p", Zone: "east", Image: "plain", DesiredSessions: s.wanted},
		},
	}
}

func (s *servers) Refresh(context.Context) (staging.Resources, error) { return s.Resources(), nil }

func (s *servers) Foreign(context.Context) ([]staging.Foreign, error) {
	return []staging.Foreign{{Installation: staging.NoInstallation, Sessions: 2}, {Installation: "gi-other", Sessions: 1}}, s.fail["foreign"]
}

func (s *servers) Agents(context.Context) ([]staging.Agent, error) {
	return []staging.Agent{{Kind: staging.AgentScaler, Address: "127.0.0.1:7481", Version: "v1"}}, s.fail["agents"]
}

func (s *servers) Ping(context.Context) error { return s.fail["ping"] }

func (s *servers) Trusted(context.Context, string) (bool, error) { return !s.untrusted, nil }

func (s *servers) Counts(context.Context, ...string) (map[string]int, map[string]int, error) {
	return nil, nil, nil
}

func (s *servers) Rollouts(context.Context, ...string) (map[string]staging.Rollout, error) {
	return nil, s.fail["rollouts"]
}

func (s *servers) Remarks(context.Context) (map[string]string, error) {
	return map[string]string{"h": "a session was destroyed instead of given to its user, 1 in a row: hook assign failed"}, s.fail["remarks"]
}

func (s *servers) Failures(context.Context) (map[string]*staging.PoolFailure, error) {
	return nil, s.fail["failures"]
}

func (s *servers) Kept(context.Context) (map[string][]string, error) { return nil, s.fail["kept"] }

func (s *servers) Usual(context.Context) (map[string]time.Duration, error) {
	return map[string]time.Duration{"p": 20 * time.Second}, nil
}

func (s *servers) DemandSizes(context.Context) (map[string]*staging.DemandSize, error) {
	return s.sizes, nil
}

func (s *servers) NoteHistory(context.Context, []staging.PoolNote) error { return nil }

func (s *servers) History(context.Context, string) ([]staging.Minute, time.Time, error) {
	return s.recent, s.now, s.fail["history"]
}

func (s *servers) Forecast(context.Context, string) ([]staging.Forecast, error) {
	return []staging.Forecast{{Expected: 3, Low: 1, High: 6}}, s.fail["forecast"]
}

func (s *servers) StoredHistory(context.Context, string, time.Time) ([]staging.Minute, error) {
	return s.stored, s.fail["stored"]
}

func (s *servers) Oldest(_ context.Context, pools ...string) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	for _, p := range pools {
		all[p] = time.Now().Add(-s.onTheWay)
	}
	return all, nil
}

func (s *servers) Conditions(context.Context, ...string) (map[string][]staging.Condition, error) {
	return nil, nil
}

func (s *servers) Activity(context.Context, []staging.Config) (map[string]staging.Activity, error) {
	return map[string]staging.Activity{
		"h": {PerMinute: 2, Staged: 30, OnDemand: 10, Ready: 4, MeanToReady: 1500 * time.Millisecond, MaxToReady: 3 * time.Second},
	}, s.fail["activity"]
}

// TestStatusAnswersWhateverDoesNot: with what is known then, and why it is not well.
func TestStatusAnswersWhateverDoesNot(t *testing.T) {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	read := func(s *servers) status.Status {
		return status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, logrus.NewEntry(logger)).Status(t.Context())
	}
	for _, c := range []struct {
		what    string
		servers *servers
		health  status.Health
		known   bool
		reason  string
	}{
		{"all is well", &servers{}, status.HealthOK, true, ""},
		{"no scaler is at work", &servers{untrusted: true}, status.HealthDegraded, true, "no scaler is at work in zone east"},
		{"sessions are on the way", &servers{wanted: 2, onTheWay: 39 * time.Second}, status.HealthOK, true, ""},
		{"one is late", &servers{wanted: 2, onTheWay: 41 * time.Second}, status.HealthDegraded, true, "staging config p: 0 of 2 ready, and one is on the way for 41s; usually a session takes 20s"},
		{"nothing answers", &servers{fail: map[string]error{"ping": errors.New("x")}}, status.HealthUnavailable, false, "consul does not answer"},
		{"a server refuses calls", &servers{fail: map[string]error{"ping": fmt.Errorf("ping: %w", refused("its disk is full"))}}, status.HealthUnavailable, false, "consul refuses calls: its disk is full"},
		{"counts cannot be read", &servers{fail: map[string]error{"activity": errors.New("x")}}, status.HealthOK, false, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := read(c.servers)
			if s.Health != c.health || len(s.Zones) != 1 || len(s.Zones[0].Pools) != 2 || s.Zones[0].Known != c.known {
				t.Errorf("%+v", s)
			}
			if c.reason != "" && !slices.ContainsFunc(s.Reasons, func(r string) bool { return strings.HasPrefix(r, c.reason) }) {
				t.Errorf("no reason %q in %q", c.reason, s.Reasons)
			}
			// A hook that failed once is a remark, and no reason not to be well.
			const remark = "staging config h: a session was destroyed instead of given to its user, 1 in a row: hook assign failed"
			if c.known != slices.Contains(s.Remarks(), remark) {
				t.Errorf("remarks %q", s.Remarks())
			}
			if c.known && s.Zones[0].Pools[0].Activity.Staged != 30 {
				t.Errorf("the pool's activity is %+v", s.Zones[0].Pools[0].Activity)
			}
		})
	}
}

// TestAStatusWithinAScope has its zones and pools, and no reason that is about others.
func TestAStatusWithinAScope(t *testing.T) {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	s := &servers{untrusted: true}
	all := status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, logrus.NewEntry(logger)).Status(t.Context())
	if len(all.Agents) != 1 || all.Agents[0].Version != "v1" {
		t.Errorf("agents: %+v", all.Agents)
	}
	if all.Foreign != 3 {
		t.Errorf("%+v", all)
	}
	in := all.Within(access.Scope{Images: []string{"hooked"}})
	if len(in.Zones) != 1 || len(in.Zones[0].Pools) != 1 || in.Zones[0].Pools[0].Name != "h" || in.Foreign != 0 || in.Health != status.HealthDegraded || len(in.Reasons) != 1 {
		t.Errorf("one image: %+v", in)
	}
	if out := all.Within(access.Scope{Zones: []string{"west"}}); len(out.Zones) != 0 || out.Health != status.HealthOK || len(out.Reasons) != 0 {
		t.Errorf("another zone: %+v", out)
	}
	if len(all.Zones[0].Pools) != 2 || len(all.Within(access.Scope{}).Zones[0].Pools) != 2 {
		t.Errorf("everything: %+v", all)
	}
}

// TestPoolsSayHowManyAreOfTheCurrentRevision: of a pool that no scaler wrote about, or whose
// image does not exist, that is not known.
func TestPoolsSayHowManyAreOfTheCurrentRevision(t *testing.T) {
	s := &rolling{}
	pools, err := status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, nil).Pools(t.Context(), []staging.Config{
		{Name: "rolls", Zone: "east", Image: "demo"}, {Name: "unseen", Zone: "east", Image: "demo"}, {Name: "silent", Zone: "east", Image: "demo"}, {Name: "broken", Zone: "east", Image: "none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := pools[0]; p.Revision != s.revision() || p.Updated == nil || *p.Updated != (status.Updated{Current: 2, Ready: 1}) {
		t.Errorf("%q %+v", p.Revision, p.Updated)
	}
	if p := pools[1]; p.Updated == nil || *p.Updated != (status.Updated{}) {
		t.Errorf("before the scaler has seen the revision: %+v", p.Updated)
	}
	if p := pools[2]; p.Revision == "" || p.Updated != nil {
		t.Errorf("an older scaler: %q %+v", p.Revision, p.Updated)
	}
	if p := pools[3]; p.Revision != "" || p.Updated != nil {
		t.Errorf("without an image: %q %+v", p.Revision, p.Updated)
	}
}

// rolling are servers with pools of 5, of which 4 are ready.
type rolling struct{ servers }

func (s *rolling) Resources() staging.Resources {
	return staging.Resources{Zones: map[string]staging.Zone{"east": {Name: "east"}}, Images: map[string]staging.Image{"demo": {Name: "demo"}}}
}

func (s *rolling) revision() string {
	return s.Resources().CurrentRevision(staging.Config{Zone: "east", Image: "demo"})
}

func (s *rolling) Counts(_ context.Context, pools ...string) (current, ready map[string]int, err error) {
	current, ready = map[string]int{}, map[string]int{}
	for _, p := range pools {
		current[p], ready[p] = 5, 4
	}
	return current, ready, nil
}

func (s *rolling) Rollouts(context.Context, ...string) (map[string]staging.Rollout, error) {
	r := staging.Rollout{Revision: s.revision(), Outdated: 3, OutdatedReady: 3}
	return map[string]staging.Rollout{"rolls": r, "unseen": {Revision: "old"}, "broken": r}, nil
}

// TestAHistoryIsThatOfRedisAndOfConsul: of a minute that both have, Redis's counts.
func TestAHistoryIsThatOfRedisAndOfConsul(t *testing.T) {
	now := time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
	minute := func(ago time.Duration, claims int) staging.Minute {
		return staging.Minute{At: now.Add(-ago), Claims: claims}
	}
	s := &servers{
		now:    now,
		stored: []staging.Minute{minute(30*time.Hour, 1), minute(2*time.Hour, 2), minute(time.Hour, 3)},
		recent: []staging.Minute{minute(time.Hour, 30), minute(time.Minute, 4)},
	}
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	m := status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, logrus.NewEntry(logger))
	claims := func(since time.Duration) (all []int, err error) {
		minutes, _, err := m.History(t.Context(), "p", now.Add(-since))
		for _, x := range minutes {
			all = append(all, x.Claims)
		}
		return all, err
	}
	for _, c := range []struct {
		what  string
		since time.Duration
		fail  string
		want  []int
	}{
		{"the last hours are Redis's", 3 * time.Hour, "", []int{30, 4}},
		{"a part of them", 10 * time.Minute, "", []int{4}},
		{"days are of both", 48 * time.Hour, "", []int{1, 2, 30, 4}},
		{"a day of Consul's that cannot be read is left out", 48 * time.Hour, "stored", []int{1, 2, 30, 4}},
	} {
		s.fail = map[string]error{c.fail: errors.New("x")}
		if got, err := claims(c.since); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.what, got, err, c.want)
		}
	}
	s.fail = map[string]error{"stored": errors.New("x")}
	s.stored = nil
	if _, err := claims(48 * time.Hour); err == nil {
		t.Error("Consul does not answer, and nothing is said")
	}
	if _, _, err := m.History(t.Context(), "none", now); err == nil {
		t.Error("a pool that does not exist has a history")
	}
}

// TestAForecastIsOfPoolsWithSizing: of another there is none, also if one of before is still stored.
func TestAForecastIsOfPoolsWithSizing(t *testing.T) {
	s := &sizedServers{}
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	m := status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, logrus.NewEntry(logger))
	for name, want := range map[string]int{"sized": 1, "fixed": 0} {
		if got, err := m.Forecast(t.Context(), name); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := m.Forecast(t.Context(), "none"); err == nil {
		t.Error("a pool that does not exist has a forecast")
	}
	s.fail = map[string]error{"forecast": errors.New("x")}
	var refused *refusal.Error
	if _, err := m.Forecast(t.Context(), "sized"); !errors.As(err, &refused) {
		t.Errorf("Redis does not answer: %v", err)
	}
}

// sizedServers have a pool with sizing and one without.
type sizedServers struct{ servers }

func (s *sizedServers) Resources() staging.Resources {
	return staging.Resources{Configs: map[string]staging.Config{
		"fixed": {Name: "fixed"}, "sized": {Name: "sized", Sizing: &staging.Sizing{Mode: staging.SizingDemand, Max: 9}},
	}}
}

func (s *sizedServers) Refresh(context.Context) (staging.Resources, error) { return s.Resources(), nil }

// TestPoolsShowWhatTheirDemandAsksFor: one that follows its demand wants that, a recommendation
// is beside.
func TestPoolsShowWhatTheirDemandAsksFor(t *testing.T) {
	size := &staging.DemandSize{Wanted: 7, Keep: 8, Reason: "why"}
	s := &rolling{servers{sizes: map[string]*staging.DemandSize{"follows": size, "recommended": size, "fixed": size}}}
	sized := func(mode staging.SizingMode) *staging.Sizing { return &staging.Sizing{Mode: mode, Max: 20} }
	pools, err := status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, nil).Pools(t.Context(), []staging.Config{
		{Name: "follows", Zone: "east", Image: "demo", Sizing: sized(staging.SizingDemand)},
		{Name: "recommended", Zone: "east", Image: "demo", DesiredSessions: 3, Sizing: sized(staging.SizingRecommend)},
		{Name: "fixed", Zone: "east", Image: "demo", DesiredSessions: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		wanted int
		shows  bool
	}{{7, true}, {3, true}, {3, false}} {
		if p := pools[i]; p.Wanted.Sessions != want.wanted || (p.Demand != nil) != want.shows {
			t.Errorf("%s: %+v %+v", p.Name, p.Wanted, p.Demand)
		}
	}
}

// refused is the error of a server that answers with it.
type refused string

// Error implements error.
func (r refused) Error() string { return string(r) }

// Refused returns the server's words.
func (r refused) Refused() string { return string(r) }
