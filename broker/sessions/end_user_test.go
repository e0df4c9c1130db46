package sessions_test

import (
	"slices"
	"testing"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// assignedTo is a fate that assigns a session to a user.
func assignedTo(user string, change ...func(*staging.Fate)) staging.Fate {
	f := staging.Fate{Verdict: staging.VerdictAssigned, Claim: "c", User: &staging.User{ID: user}, Zone: "east"}
	for _, c := range change {
		c(&f)
	}
	return f
}

// lockedOut is the fates of the sessions of two users.
func lockedOut() *servers {
	s := &servers{fates: map[string]staging.Fate{
		"mine": assignedTo("u"), "others": assignedTo("v"),
		"hooked":   assignedTo("u", func(f *staging.Fate) { f.HookPending = true }),
		"given-up": assignedTo("u", func(f *staging.Fate) { f.Reason = "its launch never finished" }),
		"retired":  {Verdict: staging.VerdictRetired},
		"over":     assignedTo("u"), "begun": assignedTo("u"), "lost": assignedTo("u"),
	}}
	for id, f := range s.fates {
		f.Session = id
		s.fates[id] = f
	}
	// Redis alone has the one without a fate.
	s.owned = []staging.Session{{ID: "mine", State: staging.Assigned, Claim: "c"}, {ID: "unfenced", State: staging.Assigned, Claim: "d"}}
	s.states = map[string]staging.State{"over": staging.Ended, "begun": staging.Ending, "lost": ""}
	return s
}

// TestAllSessionsOfAUserAreEnded, also those that are being assigned, those without a fate, and
// those that Redis has lost. Nobody else's is.
func TestAllSessionsOfAUserAreEnded(t *testing.T) {
	s := lockedOut()
	ended, err := on(s).EndUser(t.Context(), "u", "why")
	if err != nil || !slices.Equal(ended, []string{"hooked", "lost", "mine", "unfenced"}) {
		t.Errorf("ended %v, %v", ended, err)
	}
	slices.Sort(s.calls)
	want := []string{
		"abandon hooked: why", "finish hooked: why", "finish mine: why", "finish unfenced: why",
		"stop begun", "stop hooked", "stop lost", "stop mine", "stop unfenced",
	}
	if !slices.Equal(s.calls, want) {
		t.Errorf("it called\n%q, want\n%q", s.calls, want)
	}
	if slices.Index(s.calls, "abandon hooked: why") > slices.Index(s.calls, "stop hooked") {
		t.Error("a claim was stopped before it was abandoned: its broker may still finish it")
	}
}

// TestWhatIsLeftOfAUserIsAnError, and the others are ended all the same.
func TestWhatIsLeftOfAUserIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		servers *servers
		ended   []string
	}{
		"Nomad does not stop one": {with(lockedOut(), func(s *servers) { s.unstoppable = map[string]bool{"mine": true} }), []string{"hooked", "lost", "unfenced"}},
		"Redis is away":           {with(lockedOut(), func(s *servers) { s.away = true }), []string{"begun", "hooked", "lost", "mine", "over"}},
		"Consul is away":          {with(lockedOut(), func(s *servers) { s.consulAway = true }), []string{"mine", "unfenced"}},
		"a claim that cannot be abandoned": {with(lockedOut(), func(s *servers) {
			s.notAbandoned, s.fate = errAway, assignedTo("u", func(f *staging.Fate) { f.HookPending = true })
		}), []string{"lost", "mine", "unfenced"}},
	} {
		ended, err := on(c.servers).EndUser(t.Context(), "u", "why")
		if err == nil || !slices.Equal(ended, c.ended) {
			t.Errorf("%s: ended %v, want %v; %v", name, ended, c.ended, err)
		}
	}
	// One that was finished meanwhile is the user's, and is ended as such.
	s := with(lockedOut(), func(s *servers) { s.notAbandoned, s.fate = errAway, assignedTo("u") })
	if ended, err := on(s).EndUser(t.Context(), "u", "why"); err != nil || !slices.Contains(ended, "hooked") {
		t.Errorf("ended %v, %v", ended, err)
	}
}

// TestALockedUserPassesToNoSession, with the right token. While it is not known who is locked,
// the answer is that a server is away, and without the token nobody learns of a lock.
func TestALockedUserPassesToNoSession(t *testing.T) {
	right := staging.AccessToken([]byte("secret"), "s", "c")
	for name, c := range map[string]struct {
		change func(*servers)
		token  string
		kind   refusal.Kind
	}{
		"locked":                {func(s *servers) { s.locked = "u" }, right, refusal.UserLocked},
		"locked, with no right": {func(s *servers) { s.locked = "u" }, "x", refusal.Unauthorized},
		"another is locked":     {func(s *servers) { s.locked = "v" }, right, ""},
		"not known":             {func(s *servers) { s.locksAway = true }, right, refusal.ConsulUnavailable},
	} {
		s := with(inState(staging.Assigned), c.change)
		_, err := on(s).Authorize(t.Context(), sessions.Access{Session: "s", Tokens: []string{c.token}})
		if kindOf(err) != c.kind || c.kind == "" && err != nil {
			t.Errorf("%s: %v, want %q", name, err, c.kind)
		}
	}
}
