package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// servers hold one session, and note what is done with it.
type servers struct {
	sessions.Store
	session staging.Session
	// fate is the session's; none without a verdict.
	fate staging.Fate
	// moved is the state that the session has by the time it is to be moved.
	moved staging.State
	calls []string
	// away: Redis does not answer; consulAway: nor does Consul; gone: the job is stopped.
	away, consulAway, gone bool
	// redisAway: Redis takes no extension. contended is how many extensions another one comes before.
	redisAway bool
	contended int
	// image is the session's.
	image staging.Image
	// namespace is that of the session's job; "" for any that is asked for.
	namespace string
	// reads counts the reads of fates.
	reads int
	// locked is the locked user; locksAway: which users are locked is not known.
	locked    string
	locksAway bool
	// owned are the user's sessions in Redis, fates all records in Consul; ids of sessions that
	// Redis has in another state than the user's are in states.
	owned        []staging.Session
	fates        map[string]staging.Fate
	states       map[string]staging.State
	notAbandoned error
	unstoppable  map[string]bool
	mu           sync.Mutex
	// kept counts the keepalives that Redis was sent.
	kept int
}

// noAudit keeps no records.
type noAudit struct{}

func (noAudit) Changed(context.Context, string, string, any, any, error) {}
func (noAudit) Trace(context.Context, string, string, any)               {}

var errAway = errors.New("away")

func (s *servers) Session(_ context.Context, id string) (staging.Session, error) {
	if s.away {
		return staging.Session{}, errAway
	}
	if id != s.session.ID {
		return staging.Session{}, staging.ErrNoSession
	}
	return s.session, nil
}

func (s *servers) Keepalive(_ context.Context, id string) (staging.Session, error) {
	if s.away {
		return staging.Session{}, errAway
	}
	if id != s.session.ID {
		return staging.Session{}, staging.ErrNoSession
	}
	s.kept++
	if s.session.State != staging.Assigned {
		return staging.Session{}, &staging.StateError{Session: id, State: s.session.State}
	}
	return s.session, nil
}

func (s *servers) Extend(_ context.Context, x staging.Session, _ string) (staging.Session, error) {
	if s.away || s.redisAway {
		return x, errAway
	}
	if s.moved != "" {
		return x, &staging.StateError{Session: x.ID, State: s.moved}
	}
	s.session.Terms = x.Terms
	return s.session, nil
}

func (s *servers) ExtendFate(_ context.Context, f staging.Fate) error {
	if s.consulAway {
		return errAway
	}
	if s.contended > 0 {
		s.contended--
		s.fate.Index++
		s.fate.Terms.Extended += staging.Duration(time.Minute)
		return errors.New("conflict")
	}
	f.Index++
	s.fate = f
	return nil
}

func (s *servers) move(call string, to staging.State) error {
	if s.moved != "" {
		return &staging.StateError{Session: s.session.ID, State: s.moved}
	}
	s.calls = append(s.calls, call)
	s.session.State = to
	return nil
}

func (s *servers) Assign(context.Context, staging.Session) (staging.Session, error) {
	return s.session, s.move("assign", staging.Assigned)
}

func (s *servers) Finish(_ context.Context, id, _, reason string) error {
	if s.fates == nil {
		return s.move("finish", staging.Ending)
	}
	if s.away {
		return errAway
	}
	if state, ok := s.states[id]; ok {
		return &staging.StateError{Session: id, State: state}
	}
	s.note("finish " + id + ": " + reason)
	return nil
}

// note notes a call; the sessions of a user are ended at the same time.
func (s *servers) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *servers) Retire(context.Context, staging.Session, string) error {
	return s.move("retire", staging.Retiring)
}

func (s *servers) Stop(_ context.Context, x staging.Session) error {
	if s.fates == nil {
		s.note("stop")
		return nil
	}
	s.note("stop " + x.ID)
	if s.unstoppable[x.ID] {
		return errAway
	}
	return nil
}

func (s *servers) Resources() staging.Resources {
	return staging.Resources{Zones: map[string]staging.Zone{"east": {Name: "east", AllowOriginDomain: "example.org"}}, Images: map[string]staging.Image{"image": s.image}}
}

func (s *servers) LogTail(_ context.Context, x staging.Session, task, stream string, lines int) (staging.LogTail, error) {
	tail := staging.LogTail{Task: task, Stream: stream, Tasks: []string{"main"}}
	switch {
	case s.away:
		return tail, errAway
	case x.AllocID == "":
		return staging.LogTail{}, staging.ErrNoLog
	case task != "main":
		return tail, staging.ErrNoLog
	}
	tail.Text = fmt.Sprintf("%d lines\n", lines)
	return tail, nil
}

func (s *servers) Find(_ context.Context, x staging.Session) (staging.Session, error) {
	if s.gone || s.namespace != "" && x.Namespace != s.namespace {
		return x, staging.ErrNoSession
	}
	x.AllocID, x.Image = "a", "image"
	return x, nil
}

func (s *servers) Fate(context.Context, string) (staging.Fate, error) {
	s.reads++
	if s.consulAway {
		return s.fate, errAway
	}
	if s.fate.Verdict == "" {
		return s.fate, staging.ErrNoResource
	}
	return s.fate, nil
}

func (s *servers) CreateFate(_ context.Context, f staging.Fate) (bool, staging.Fate, error) {
	s.calls = append(s.calls, "decide")
	if s.fate.Verdict != "" {
		return false, s.fate, nil
	}
	return true, f, nil
}

func (s *servers) Keys(context.Context, string) (staging.SigningKeys, error) {
	return staging.SigningKeys{{Key: []byte("secret")}}, nil
}

func (s *servers) UserSessions(context.Context, string) ([]staging.Session, error) {
	if s.away {
		return nil, errAway
	}
	return s.owned, nil
}

func (s *servers) Fates(context.Context) (map[string]staging.Fate, error) {
	if s.consulAway {
		return nil, errAway
	}
	return s.fates, nil
}

func (s *servers) AbandonFate(_ context.Context, f staging.Fate, reason string) error {
	s.note("abandon " + f.Session + ": " + reason)
	return s.notAbandoned
}

func (s *servers) UserLocked(_ context.Context, userID string) (bool, error) {
	if s.locksAway {
		return false, errAway
	}
	return userID == s.locked, nil
}

func (s *servers) FailingCheck(context.Context, staging.Session) (staging.FailingCheck, error) {
	s.note("check")
	if s.consulAway {
		return staging.FailingCheck{}, errAway
	}
	return staging.FailingCheck{Name: "http"}, nil
}

func on(s *servers) *sessions.Sessions {
	return sessions.New(sessions.Servers{Store: s, Registry: s, Fleet: s, Health: s}, nil, noAudit{}, discard())
}

// discard returns a log that keeps nothing.
func discard() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

func inState(state staging.State) *servers {
	return &servers{session: staging.Session{
		ID: "s", State: state, Origin: staging.Staged, Zone: "east", Claim: "c", User: &staging.User{ID: "u"},
	}}
}

func kindOf(err error) refusal.Kind {
	var e *refusal.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func TestAKeepaliveOfASessionThatIsOverIsRefused(t *testing.T) {
	_, err := on(inState(staging.Ending)).Keepalive(t.Context(), "s")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.NotAssigned {
		t.Errorf("%v", err)
	}
}

// TestASessionIsAssignedOnceItsFateIsFinished, also while Redis still shows it as claimed.
func TestASessionIsAssignedOnceItsFateIsFinished(t *testing.T) {
	for name, c := range map[string]struct {
		fate staging.Fate
		want staging.State
	}{
		"no fate":           {staging.Fate{}, staging.Claimed},
		"its hook runs":     {staging.Fate{Verdict: staging.VerdictAssigned, Claim: "c", HookPending: true}, staging.Claimed},
		"of another claim":  {staging.Fate{Verdict: staging.VerdictAssigned, Claim: "d"}, staging.Claimed},
		"its fate finished": {staging.Fate{Verdict: staging.VerdictAssigned, Claim: "c"}, staging.Assigned},
	} {
		s := inState(staging.Claimed)
		s.fate = c.fate
		if got, err := on(s).Session(t.Context(), "s"); err != nil || got.State != c.want {
			t.Errorf("%s: %s %v, want %s", name, got.State, err, c.want)
		}
		// Redis is told with the keepalive.
		_, err := on(s).Keepalive(t.Context(), "s")
		if alive := err == nil; alive != (c.want == staging.Assigned) || alive != slices.Equal(s.calls, []string{"assign"}) {
			t.Errorf("%s: a keepalive did %v: %v", name, s.calls, err)
		}
	}
}

// TestTheEndOfASession by the state that it is in.
func TestTheEndOfASession(t *testing.T) {
	for name, c := range map[string]struct {
		servers *servers
		calls   []string
		kind    refusal.Kind
	}{
		"a user's is finished, then stopped":             {inState(staging.Assigned), []string{"finish", "stop"}, ""},
		"an unused one is retired by its fate":           {inState(staging.Ready), []string{"retire", "decide", "stop"}, ""},
		"one that is being assigned is busy":             {inState(staging.Claimed), nil, refusal.SessionBusy},
		"one that is ending is stopped again":            {inState(staging.Ending), []string{"stop"}, ""},
		"one that has ended is left alone":               {inState(staging.Ended), nil, ""},
		"one that was claimed meanwhile is busy":         {with(inState(staging.Ready), func(s *servers) { s.moved = staging.Claimed }), nil, refusal.SessionBusy},
		"one that ended meanwhile is stopped":            {with(inState(staging.Assigned), func(s *servers) { s.moved = staging.Ending }), []string{"stop"}, ""},
		"an unused one whose fate is a user's is busy":   {with(inState(staging.Ready), func(s *servers) { s.fate.Verdict = staging.VerdictAssigned }), []string{"retire", "decide"}, refusal.SessionBusy},
		"one that does not exist is reported as no such": {with(inState(staging.Ready), func(s *servers) { s.session.ID = "other" }), nil, refusal.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			err := on(c.servers).End(t.Context(), "s")
			if kindOf(err) != c.kind || c.kind == "" && err != nil || !slices.Equal(c.servers.calls, c.calls) {
				t.Errorf("%v: %v, want %v", c.servers.calls, err, c.calls)
			}
		})
	}
}

func with(s *servers, change func(*servers)) *servers {
	change(s)
	return s
}

// TestWhoMayPassToASession: a request with the session's own token, from an allowed origin.
func TestWhoMayPassToASession(t *testing.T) {
	right := staging.AccessToken([]byte("secret"), "s", "c")
	for name, c := range map[string]struct {
		access sessions.Access
		state  staging.State
		kind   refusal.Kind
	}{
		"its token":                 {sessions.Access{Session: "s", Tokens: []string{right}}, staging.Assigned, ""},
		"its token among others":    {sessions.Access{Session: "s", Tokens: []string{"x", right}}, staging.Assigned, ""},
		"an allowed origin":         {sessions.Access{Session: "s", Tokens: []string{right}, Origin: "https://app.example.org"}, staging.Assigned, ""},
		"two origins":               {sessions.Access{Session: "s", Tokens: []string{right}, Origin: "https://app.example.org, https://example.com"}, staging.Assigned, refusal.Forbidden},
		"two, and the other first":  {sessions.Access{Session: "s", Tokens: []string{right}, Origin: "https://example.com, https://app.example.org"}, staging.Assigned, refusal.Forbidden},
		"another origin":            {sessions.Access{Session: "s", Tokens: []string{right}, Origin: "https://example.com"}, staging.Assigned, refusal.Forbidden},
		"no token":                  {sessions.Access{Session: "s"}, staging.Assigned, refusal.Unauthorized},
		"a wrong token":             {sessions.Access{Session: "s", Tokens: []string{"x"}}, staging.Assigned, refusal.Unauthorized},
		"no such session":           {sessions.Access{Session: "none", Tokens: []string{right}}, staging.Assigned, refusal.Unauthorized},
		"a port of it":              {sessions.Access{Session: "s", Tokens: []string{right}, Port: "my-vnc"}, staging.Assigned, ""},
		"a port that it has not":    {sessions.Access{Session: "s", Tokens: []string{right}, Port: "nope"}, staging.Assigned, refusal.NotFound},
		"that, without the token":   {sessions.Access{Session: "s", Tokens: []string{"x"}, Port: "nope"}, staging.Assigned, refusal.Unauthorized},
		"a session that is no more": {sessions.Access{Session: "s", Tokens: []string{right}}, staging.Ended, refusal.Forbidden},
	} {
		s := inState(c.state)
		s.session.Address, s.session.Ports = "10.0.0.7", map[string]int{"http": 1, "my_vnc": 2}
		got, err := on(s).Authorize(t.Context(), c.access)
		if kindOf(err) != c.kind || c.kind == "" && (err != nil || got.User.ID != "u") {
			t.Errorf("%s: %+v %v, want %q", name, got, err, c.kind)
		}
	}
}

// TestALogIsReadOrItIsSaidWhyThereIsNone: each refusal says what a person can do.
func TestALogIsReadOrItIsSaidWhyThereIsNone(t *testing.T) {
	placed := staging.Session{ID: "gr-1", State: staging.Starting, Origin: staging.OnDemand, AllocID: "a"}
	waiting := staging.Session{ID: "gr-1", State: staging.Pending, Origin: staging.OnDemand}
	for _, c := range []struct {
		name    string
		session staging.Session
		id      string
		task    string
		kind    refusal.Kind
		says    string
	}{
		{"of a session that runs", placed, "gr-1", "main", "", ""},
		{"of another task", placed, "gr-1", "proxy", refusal.NoLog, "the session's tasks are main"},
		{"before it is placed", waiting, "gr-1", "main", refusal.NoLog, "it is not placed yet"},
		{"of no session", placed, "gr-2", "main", refusal.NotFound, "there is no session"},
	} {
		world := &servers{session: c.session}
		tail, err := on(world).Log(t.Context(), c.id, sessions.LogRequest{Task: c.task, Stream: "stderr", Lines: 7})
		if c.kind == "" {
			if err != nil || tail.Text != "7 lines\n" || tail.Stream != "stderr" {
				t.Errorf("%s: %+v, %v", c.name, tail, err)
			}
			continue
		}
		refused, ok := errors.AsType[*refusal.Error](err)
		if !ok || refused.Kind != c.kind || !strings.Contains(refused.Detail, c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTheFailingCheckIsReadOfWhatIsNotUp, and of a user's session that is not healthy: the
// others cost Consul nothing. Without Consul a session is shown without it.
func TestTheFailingCheckIsReadOfWhatIsNotUp(t *testing.T) {
	starting, unhealthy, healthy, ended := inState(staging.Starting), inState(staging.Assigned), inState(staging.Assigned), inState(staging.Ended)
	unhealthy.session.UnhealthySince = time.Now()
	away := inState(staging.Starting)
	away.consulAway = true
	for n, c := range []struct {
		of    *servers
		reads int
		want  string
	}{{starting, 1, "http"}, {unhealthy, 1, "http"}, {healthy, 0, ""}, {ended, 0, ""}, {away, 1, ""}} {
		if got := on(c.of).FailingCheck(t.Context(), c.of.session); got.Name != c.want || len(c.of.calls) != c.reads {
			t.Errorf("%d: %+v after %v", n, got, c.of.calls)
		}
	}
}
