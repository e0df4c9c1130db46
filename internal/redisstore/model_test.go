package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// model is the content that Redis should have, computed in plain Go.
type model struct {
	sessions map[string]*modelSession
	keys     map[string]*modelKey
}

type modelSession struct {
	State       staging.State
	Claim, User string
	// Image is the image that it was published with; Key is its launch's.
	Image, Key string
	// Back: it was unclaimed. Demoted: it comes after all that are not.
	Back, Demoted bool
	OnDemand      bool
	// Taken: its claim key exists. Known: it is in the index.
	Taken, Known bool
	created      int64
}

type modelKey struct {
	Claim, Launch, Session string
	// Several are the ids of all the launch's sessions, separated by blanks, if it has several.
	Several string
	Done    bool
}

func (m *model) held(n int, c staging.Claim) *staging.ClaimResult {
	k := m.keys[c.IdempotencyKey]
	switch {
	case c.IdempotencyKey == "", k == nil, k.Claim == c.ID:
		return m.overLimit(n, c)
	case k.Launch != c.Fingerprint:
		return &staging.ClaimResult{Outcome: staging.ClaimKeyReused}
	}
	return &staging.ClaimResult{
		Outcome: staging.ClaimRepeat, Holder: staging.KeyHolder{Sessions: slices.DeleteFunc([]string{k.Session}, func(id string) bool { return id == "" }), Done: k.Done},
	}
}

func (m *model) overLimit(n int, c staging.Claim) *staging.ClaimResult {
	count := []string{}
	for id, s := range m.sessions {
		// What another try of the same launch took and did not give is no session of the user's.
		tried := c.IdempotencyKey != "" && s.Key == c.IdempotencyKey && s.State != staging.Assigned
		if s.User == c.User.ID && s.Claim != c.ID && !tried && s.State != staging.Ending && s.State != staging.Ended {
			count = append(count, id)
		}
	}
	if c.MaxSessionsPerUser == 0 || len(count)+n <= c.MaxSessionsPerUser {
		return nil
	}
	slices.Sort(count)
	return &staging.ClaimResult{Outcome: staging.ClaimLimit, Held: count}
}

func (m *model) reserve(c staging.Claim, session string) {
	if c.IdempotencyKey == "" {
		return
	}
	k := m.keys[c.IdempotencyKey]
	if k == nil {
		k = &modelKey{}
		m.keys[c.IdempotencyKey] = k
	}
	k.Claim, k.Launch = c.ID, c.Fingerprint
	k.Session = cmp.Or(session, k.Session)
}

// queue holds the ready sessions, oldest first, the demoted ones after all others.
func (m *model) queue() []string {
	ids := []string{}
	for id, s := range m.sessions {
		if s.State == staging.Ready {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		x, y := m.sessions[a], m.sessions[b]
		switch {
		case x.Demoted == y.Demoted:
			return cmp.Compare(x.created, y.created)
		case x.Demoted:
			return 1
		}
		return -1
	})
	return ids
}

// claim takes n sessions or none. One that no launch of one can take is withdrawn.
func (m *model) claim(n int, c staging.Claim) staging.ClaimResult {
	if refusal := m.held(n, c); refusal != nil {
		return *refusal
	}
	queue := m.queue()
	preferred := slices.DeleteFunc(slices.Clone(c.Prefer), func(id string) bool { return !slices.Contains(queue, id) || m.sessions[id].Demoted })
	var taken []string
	for _, id := range slices.Concat(preferred, queue) {
		s := m.sessions[id]
		switch {
		case len(taken) == n || s.State != staging.Ready || slices.Contains(taken, id):
		case s.Image == c.Image:
			taken = append(taken, id)
		case n == 1:
			s.State = staging.Starting
		}
	}
	if len(taken) < n {
		if n == 1 {
			m.reserve(c, "") // the launch goes on with sessions made on demand
		}
		return staging.ClaimResult{Outcome: staging.ClaimEmpty, Ready: []int{len(taken)}}
	}
	r := staging.ClaimResult{Outcome: staging.ClaimTaken}
	for _, id := range taken {
		s := m.sessions[id]
		s.State, s.Claim, s.User, s.Taken, s.Key = staging.Claimed, c.ID, c.User.ID, true, cmp.Or(c.IdempotencyKey, s.Key)
		if c.Final {
			s.State = staging.Assigned
		}
		r.Sessions = append(r.Sessions, staging.Session{ID: id})
	}
	m.reserve(c, taken[0])
	if k := m.keys[c.IdempotencyKey]; c.IdempotencyKey != "" {
		k.Done = k.Done || c.Final
		if n > 1 {
			k.Several = strings.Join(taken, " ")
		}
	}
	return r
}

func (m *model) begin(id string, created int64, c staging.Claim) staging.ClaimResult {
	if refusal := m.held(1, c); refusal != nil {
		return *refusal
	}
	m.reserve(c, id)
	m.sessions[id] = &modelSession{
		State: staging.Pending, Claim: c.ID, User: c.User.ID, Key: c.IdempotencyKey, OnDemand: true, Taken: true, Known: true, created: created,
	}
	return staging.ClaimResult{Outcome: staging.ClaimTaken, Sessions: []staging.Session{{ID: id}}}
}

// move is a change that only some states allow. It returns the state that forbids it.
func (m *model) move(id string, to staging.State, allowed func(*modelSession) bool) (forbids error) {
	s := m.sessions[id]
	if s == nil {
		return &staging.StateError{Session: id}
	}
	if s.State == to {
		return nil
	}
	if !allowed(s) {
		return &staging.StateError{Session: id, State: s.State}
	}
	s.State = to
	return nil
}

// machine runs the scripts and the model side by side.
type machine struct {
	t     *testing.T
	store *Store
	model *model
	born  time.Time
	next  int
	// claims are the claims of all launches so far. was has each session as it was before
	// the last step.
	claims []staging.Claim
	was    map[string]modelSession
}

var stagedIDs = []string{"s0", "s1", "s2", "s3", "s4"}

func (x *machine) session(id string) staging.Session {
	age := time.Duration(slices.Index(stagedIDs, id)) * time.Minute
	s := session(id, 0)
	s.CreatedAt = x.born.Add(-age)
	if m := x.model.sessions[id]; m != nil && m.OnDemand {
		s.Origin, s.Staging, s.CreatedAt = staging.OnDemand, "", time.UnixMilli(m.created)
	}
	return s
}

// aClaim returns the claim of a new launch, or one that was made before.
func (x *machine) aClaim(t *rapid.T) staging.Claim {
	if len(x.claims) > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		return rapid.SampledFrom(x.claims).Draw(t, "claim")
	}
	c := claim(fmt.Sprint("c", len(x.claims)))
	c.User.ID = rapid.SampledFrom([]string{"u0", "u1"}).Draw(t, "user")
	c.IdempotencyKey = rapid.SampledFrom([]string{"", "k0", "k1"}).Draw(t, "key")
	if c.IdempotencyKey != "" {
		c.Fingerprint = rapid.SampledFrom([]string{"f0", "f0", "f1"}).Draw(t, "launch")
	}
	c.Prefer = rapid.SliceOfN(rapid.SampledFrom(stagedIDs), 0, 2).Draw(t, "prefer")
	c.Final = rapid.IntRange(0, 3).Draw(t, "final") == 0
	c.MaxSessionsPerUser = rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "limit")
	x.claims = append(x.claims, c)
	return c
}

func (x *machine) anyID(t *rapid.T) string {
	ids := slices.Clone(stagedIDs)
	for id, s := range x.model.sessions {
		if s.OnDemand {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(t, "session")
}

func (x *machine) same(t *rapid.T, what string, want, got error) {
	if fmt.Sprint(want) != fmt.Sprint(got) {
		t.Fatalf("%s: the model says %v, the script %v", what, want, got)
	}
}

func (x *machine) sameResult(t *rapid.T, what string, want, got staging.ClaimResult, err error) {
	slices.Sort(got.Held)
	if got.Outcome == staging.ClaimTaken && what == "claim" && got.At.IsZero() {
		t.Fatal("a claim has no time")
	}
	got.At = time.Time{}
	for i, y := range got.Sessions {
		got.Sessions[i] = staging.Session{ID: y.ID}
	}
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Fatalf("%s: %v (-model +script)\n%s", what, err, diff)
	}
}

// steps are the calls that brokers and scalers make, in any order.
func (x *machine) steps() map[string]func(*rapid.T) {
	m, s, ctx := x.model, x.store, x.t.Context()
	staged := func(t *rapid.T) staging.Session { return x.session(rapid.SampledFrom(stagedIDs).Draw(t, "session")) }
	unassigned := func(e *modelSession) bool { return e.State.Unassigned() && !e.OnDemand && !e.Taken }
	return map[string]func(*rapid.T){
		"record": func(t *rapid.T) {
			y := x.session(x.anyID(t))
			y.State = rapid.SampledFrom([]staging.State{staging.Pending, staging.Starting}).Draw(t, "to")
			e := m.sessions[y.ID]
			want := y.State
			switch {
			case e == nil:
				m.sessions[y.ID] = &modelSession{State: y.State, Known: true, created: y.CreatedAt.UnixMilli()}
			case e.State == staging.Pending:
				e.State = y.State
			default:
				want = e.State
			}
			got, err := s.Record(ctx, y)
			x.same(t, "record", nil, err)
			if got != want {
				t.Fatalf("record %s: the model says %s, the script %s", y.ID, want, got)
			}
		},
		"publish": func(t *rapid.T) {
			y := staged(t)
			y.Image = rapid.SampledFrom([]string{"demo", "demo", "old"}).Draw(t, "image")
			if m.sessions[y.ID] == nil {
				m.sessions[y.ID] = &modelSession{State: staging.Pending, created: y.CreatedAt.UnixMilli()}
			}
			want := m.move(y.ID, staging.Ready, unassigned)
			y.Demoted = rapid.IntRange(0, 3).Draw(t, "demoted") == 0
			if e := m.sessions[y.ID]; want == nil {
				e.Image, e.Known, e.Demoted = y.Image, true, y.Demoted
			}
			x.same(t, "publish", want, s.Publish(ctx, y))
		},
		"withdraw": func(t *rapid.T) {
			y := staged(t)
			want := m.move(y.ID, staging.Starting, func(e *modelSession) bool { return e.State == staging.Ready })
			x.same(t, "withdraw", want, s.Withdraw(ctx, y))
		},
		"reorder": func(t *rapid.T) {
			y := staged(t)
			y.Demoted = rapid.Bool().Draw(t, "demoted")
			var want staging.State
			if e := m.sessions[y.ID]; e != nil {
				e.Demoted, want = y.Demoted, e.State
			}
			got, err := s.Reorder(ctx, y)
			x.same(t, "reorder", nil, err)
			if got != want {
				t.Fatalf("reorder %s: the model says %s, the script %s", y.ID, want, got)
			}
		},
		"retire": func(t *rapid.T) {
			y := staged(t)
			x.same(t, "retire", m.move(y.ID, staging.Retiring, unassigned), s.Retire(ctx, y, "test"))
		},
		"claim": func(t *rapid.T) {
			c := x.aClaim(t)
			// Launches of one are the most common ones.
			n := max(1, rapid.IntRange(-3, 4).Draw(t, "count"))
			want := m.claim(n, c)
			got, err := s.Claim(ctx, poolsOf("demo-east", "east"), n, c)
			x.sameResult(t, "claim", want, got, err)
		},
		"unclaim": func(t *rapid.T) {
			y := staged(t)
			e := m.sessions[y.ID]
			if e != nil {
				y.Claim = e.Claim
			}
			if len(x.claims) > 0 && rapid.IntRange(0, 3).Draw(t, "another's") == 0 {
				y.Claim = rapid.SampledFrom(x.claims).Draw(t, "claim").ID
			}
			var want error
			switch {
			case e == nil:
				want = &staging.StateError{Session: y.ID}
			case e.Claim != y.Claim || e.Claim == "":
				want = &staging.StateError{Session: y.ID, Fenced: true}
			case e.State != staging.Claimed:
				want = &staging.StateError{Session: y.ID, State: e.State}
			default:
				e.State, e.Claim, e.User, e.Key, e.Taken, e.Back = staging.Ready, "", "", "", false, true
			}
			x.same(t, "unclaim", want, s.Unclaim(ctx, y))
		},
		"begin": func(t *rapid.T) {
			c := x.aClaim(t)
			y := session(fmt.Sprint("d", x.next), 0)
			x.next++
			y.Origin, y.Staging, y.CreatedAt = staging.OnDemand, "", x.born.Add(time.Duration(x.next)*time.Second)
			want := m.begin(y.ID, y.CreatedAt.UnixMilli(), c)
			got, err := s.Begin(ctx, y, c)
			x.sameResult(t, "begin", want, got, err)
		},
		"assign": func(t *rapid.T) {
			y := x.session(x.anyID(t))
			if len(x.claims) > 0 {
				y.Claim = rapid.SampledFrom(x.claims).Draw(t, "claim").ID
			}
			if e := m.sessions[y.ID]; e != nil && rapid.Bool().Draw(t, "its own") {
				y.Claim = e.Claim
			}
			e := m.sessions[y.ID]
			var want error
			switch {
			case e == nil:
				want = &staging.StateError{Session: y.ID}
			case e.Claim != y.Claim || e.Claim == "":
				want = &staging.StateError{Session: y.ID, Fenced: true}
			default:
				want = m.move(y.ID, staging.Assigned, func(e *modelSession) bool {
					return e.State == staging.Claimed || e.OnDemand && (e.State == staging.Pending || e.State == staging.Starting)
				})
				if k := m.keys[e.Key]; want == nil && k != nil && k.Claim == e.Claim {
					k.Session, k.Done = y.ID, true
				}
			}
			_, err := s.Assign(ctx, y)
			x.same(t, "assign", want, err)
		},
		"finish": func(t *rapid.T) {
			id := x.anyID(t)
			by := ""
			if len(x.claims) > 0 && rapid.Bool().Draw(t, "fenced") {
				by = rapid.SampledFrom(x.claims).Draw(t, "claim").ID
			}
			var want error
			if e := m.sessions[id]; e != nil && by != "" && e.Claim != by {
				want = &staging.StateError{Session: id, Fenced: true}
			} else {
				want = m.move(id, staging.Ending, func(e *modelSession) bool {
					return e.State == staging.Claimed || e.State == staging.Assigned ||
						e.OnDemand && (e.State == staging.Pending || e.State == staging.Starting)
				})
			}
			x.same(t, "finish", want, s.Finish(ctx, id, by, "test"))
		},
		"ended": func(t *rapid.T) {
			y := x.session(x.anyID(t))
			if e := m.sessions[y.ID]; e != nil {
				e.State, e.Known = staging.Ended, false
			}
			x.same(t, "ended", nil, s.Ended(ctx, y, "test"))
		},
		"restore": func(t *rapid.T) {
			if len(x.claims) == 0 {
				t.Skip()
			}
			y := x.session(rapid.SampledFrom(stagedIDs).Draw(t, "session"))
			c := rapid.SampledFrom(x.claims).Draw(t, "claim")
			y.State = rapid.SampledFrom([]staging.State{staging.Claimed, staging.Assigned}).Draw(t, "to")
			y.Claim, y.User = c.ID, &c.User
			f := staging.Fate{Session: y.ID, Claim: c.ID, IdempotencyKey: c.IdempotencyKey, Fingerprint: c.Fingerprint}
			want := m.restore(y, f)
			got, err := s.Restore(ctx, y, f)
			x.same(t, "restore", nil, err)
			if got != want {
				t.Fatalf("restore %s: the model says %s, the script %s", y.ID, want, got)
			}
		},
		"release": func(t *rapid.T) {
			c := x.aClaim(t)
			if k := m.keys[c.IdempotencyKey]; k != nil && k.Claim == c.ID && !k.Done {
				delete(m.keys, c.IdempotencyKey)
			}
			x.same(t, "release", nil, s.Release(ctx, c.IdempotencyKey, c.ID, ""))
		},
		"unhold": func(t *rapid.T) {
			c := x.aClaim(t)
			if k := m.keys[c.IdempotencyKey]; k != nil && k.Claim == c.ID && !k.Done {
				k.Session, k.Several = "", ""
			}
			x.same(t, "unhold", nil, s.DetachKey(ctx, c.IdempotencyKey, c.ID))
		},
		"redis is wiped": func(t *rapid.T) {
			if rapid.IntRange(0, 4).Draw(t, "rarely") != 0 {
				t.Skip()
			}
			*m = model{sessions: map[string]*modelSession{}, keys: map[string]*modelKey{}}
			clear(x.was)
			x.wipe()
			vouch(x.t, x.store)
		},
		"": x.check,
	}
}

func (m *model) restore(y staging.Session, f staging.Fate) staging.State {
	e := m.sessions[y.ID]
	if e != nil && (e.Claim == f.Claim || e.State == staging.Ended || e.State == staging.Ending) {
		return e.State
	}
	if e == nil {
		e = &modelSession{created: y.CreatedAt.UnixMilli()}
		m.sessions[y.ID] = e
	}
	e.State, e.Claim, e.User, e.Taken, e.Known = y.State, f.Claim, y.User.ID, true, true
	if k := m.keys[f.IdempotencyKey]; f.IdempotencyKey != "" && (k == nil || k.Claim == f.Claim) {
		if k == nil {
			k = &modelKey{}
			m.keys[f.IdempotencyKey] = k
		}
		k.Claim, k.Launch, k.Session, k.Done = f.Claim, f.Fingerprint, y.ID, k.Done || y.State == staging.Assigned
		e.Key = f.IdempotencyKey
	}
	return y.State
}

func (x *machine) wipe() {
	keys, err := keysOf(x.t.Context(), x.store, "*")
	must(x.t, err)
	if len(keys) > 0 {
		must(x.t, x.store.rdb.Del(x.t.Context(), keys...).Err())
	}
}

// check compares Redis with the model, and both with what must never happen.
func (x *machine) check(t *rapid.T) {
	ctx, s := x.t.Context(), x.store
	known, pool := []string{}, []string{}
	for id, want := range x.model.sessions {
		h, err := s.rdb.HGetAll(ctx, s.sessionKey(id)).Result()
		must(x.t, err)
		if h["state"] != string(want.State) || h["claim"] != want.Claim {
			t.Fatalf("%s is %s of claim %q in Redis, and %s of %q in the model", id, h["state"], h["claim"], want.State, want.Claim)
		}
		if want.Known {
			known = append(known, id)
		}
		if want.State.Unassigned() && !want.OnDemand {
			pool = append(pool, id)
		}
		before, ok := x.was[id]
		back := want.Back
		want.Back = false
		switch {
		case !ok:
		case back && before.State == staging.Claimed && want.State == staging.Ready: // unclaimed
		case before.State == staging.Ready && want.State == staging.Assigned: // claimed and assigned in one step
		case before.State != want.State && !staging.CanMove(before.State, want.State) && !restored(before, *want):
			t.Fatalf("%s went from %s to %s", id, before.State, want.State)
		case before.Claim != "" && want.State.Unassigned() && !want.OnDemand:
			t.Fatalf("%s was claimed and is %s", id, want.State)
		case before.Claim != "" && before.Claim != want.Claim && !restored(before, *want):
			t.Fatalf("%s went from claim %s to %s", id, before.Claim, want.Claim)
		}
		x.was[id] = *want
	}
	members := func(what string, want []string, got []string, err error) {
		slices.Sort(want)
		slices.Sort(got)
		if err != nil || !slices.Equal(want, got) {
			t.Fatalf("%s: the model has %v, Redis %v (%v)", what, want, got, err)
		}
	}
	queue, err := s.rdb.ZRange(ctx, s.readyKey("demo-east"), 0, -1).Result()
	if want := x.model.queue(); err != nil || !slices.Equal(want, queue) {
		t.Fatalf("the ready queue: the model has %v, Redis %v (%v)", want, queue, err)
	}
	got, err := s.rdb.ZRange(ctx, s.indexKey(), 0, -1).Result()
	members("the index", known, got, err)
	got, err = s.rdb.SMembers(ctx, s.poolKey("demo-east")).Result()
	members("the pool", pool, got, err)
	for _, key := range []string{"k0", "k1"} {
		r, err := s.KeyHolder(ctx, key)
		must(x.t, err)
		want := modelKey{}
		if k := x.model.keys[key]; k != nil {
			want = *k
			want.Launch = ""
		}
		session, err := s.rdb.HGet(ctx, s.idempotencyKey(key), "session").Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			x.t.Fatal(err)
		}
		have := modelKey{Claim: r.Claim, Session: session, Done: r.Done}
		if len(r.Sessions) > 1 {
			have.Several = strings.Join(r.Sessions, " ")
		} else if !slices.Equal(r.Sessions, strings.Fields(session)) {
			t.Fatalf("key %s names session %q, and is read as that of %v", key, session, r.Sessions)
		}
		if have != want {
			t.Fatalf("key %s: the model has %+v, Redis %+v", key, want, have)
		}
	}
}

// restored: Restore applied a fate record that Redis did not have. That may undo what
// Redis held.
func restored(before, now modelSession) bool {
	return before.Claim != now.Claim && (now.State == staging.Claimed || now.State == staging.Assigned) && now.Taken
}

// TestTheScriptsAgreeWithTheirModel runs random steps of brokers and scalers, in any
// order. Redis must then equal a plain model.
func TestTheScriptsAgreeWithTheirModel(t *testing.T) {
	rdb := testClient(t)
	defer rdb.Close()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		x := &machine{
			t: t, store: New(rdb, Options{Prefix: testPrefix(fmt.Sprintf("%s:%d", t.Name(), runs))}),
			model: &model{sessions: map[string]*modelSession{}, keys: map[string]*modelKey{}},
			born:  time.UnixMilli(1_700_000_000_000).UTC(), was: map[string]modelSession{},
		}
		defer x.wipe()
		vouch(t, x.store)
		rt.Repeat(x.steps())
	})
}
