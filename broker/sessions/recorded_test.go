package sessions_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// assignedFate is the fate of the session of inState.
func assignedFate() staging.Fate {
	return staging.Fate{Verdict: staging.VerdictAssigned, Claim: "c", Zone: "east", User: &staging.User{ID: "u"}}
}

// TestAccessChecksAreAnsweredByTheFateWhereRedisIsNot: the user passes, and nobody else.
func TestAccessChecksAreAnsweredByTheFateWhereRedisIsNot(t *testing.T) {
	token := staging.AccessToken([]byte("secret"), "s", "c")
	for name, c := range map[string]struct {
		change func(*servers)
		access sessions.Access
		want   refusal.Kind
	}{
		"Redis away": {change: func(s *servers) { s.away = true }},
		"Redis away, another origin": {
			change: func(s *servers) { s.away = true }, access: sessions.Access{Origin: "https://elsewhere.net"}, want: refusal.Forbidden,
		},
		"Redis away, another's token": {
			change: func(s *servers) { s.away = true },
			access: sessions.Access{Tokens: []string{staging.AccessToken([]byte("secret"), "s", "other")}}, want: refusal.Unauthorized,
		},
		"Redis away, the session has ended":   {change: func(s *servers) { s.away, s.gone = true, true }, want: refusal.Forbidden},
		"Redis away, its launch was given up": {change: func(s *servers) { s.away, s.fate.Reason = true, "x" }, want: refusal.Forbidden},
		"Redis away, its hook is under way":   {change: func(s *servers) { s.away, s.fate.HookPending = true, true }, want: refusal.Forbidden},
		"Redis away, it was retired":          {change: func(s *servers) { s.away, s.fate = true, staging.Fate{Verdict: staging.VerdictRetired} }, want: refusal.Unauthorized},
		"Redis away, no fate":                 {change: func(s *servers) { s.away, s.fate = true, staging.Fate{} }, want: refusal.Unauthorized},
		"Redis and Consul away":               {change: func(s *servers) { s.away, s.consulAway = true, true }, want: refusal.RedisUnavailable},
		"Redis away, its zone names another namespace now": {
			change: func(s *servers) { s.away, s.namespace, s.fate.Namespace = true, "before", "before" },
		},
		"Redis has lost it":                       {change: func(s *servers) { s.session.ID = "" }},
		"Redis is from before its claim":          {change: func(s *servers) { s.session.State, s.session.Claim = staging.Ready, "" }},
		"Redis has it as ended, whatever is left": {change: func(s *servers) { s.session.State = staging.Ended }, want: refusal.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			w := inState(staging.Assigned)
			w.fate = assignedFate()
			c.change(w)
			c.access.Session = "s"
			if c.access.Tokens == nil {
				c.access.Tokens = []string{token}
			}
			found, err := on(w).Authorize(t.Context(), c.access)
			if kindOf(err) != c.want || err == nil && found.User.ID != "u" {
				t.Errorf("%+v %v; want %q", found, err, c.want)
			}
		})
	}
}

// TestAStreamOfAccessChecksReadsConsulOnceASecond, and with Consul away as well the last
// answer stands for some minutes.
func TestAStreamOfAccessChecksReadsConsulOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inState(staging.Assigned)
		w.fate, w.away = assignedFate(), true
		s := on(w)
		access := sessions.Access{Session: "s", Tokens: []string{staging.AccessToken([]byte("secret"), "s", "c")}}
		check := func() {
			t.Helper()
			if _, err := s.Authorize(t.Context(), access); err != nil {
				t.Error(err)
			}
		}
		for range 1000 {
			check()
		}
		if w.reads != 1 {
			t.Errorf("1,000 checks read the fate %d times", w.reads)
		}
		w.consulAway = true
		time.Sleep(4 * time.Minute)
		check()
		time.Sleep(2 * time.Minute)
		if _, err := s.Authorize(t.Context(), access); kindOf(err) != refusal.RedisUnavailable {
			t.Errorf("after six minutes: %v", err)
		}
	})
}

// TestAKeepaliveWithoutRedisIsRecordedOnceItIsBack.
func TestAKeepaliveWithoutRedisIsRecordedOnceItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inState(staging.Assigned)
		w.fate, w.away = assignedFate(), true
		s := on(w)
		for range 3 {
			if found, err := s.Keepalive(t.Context(), "s"); err != nil || found.User.ID != "u" || found.Image != "image" {
				t.Errorf("%+v %v", found, err)
			}
		}
		w.gone = true
		time.Sleep(2 * time.Second)
		if _, err := s.Keepalive(t.Context(), "s"); kindOf(err) != refusal.RedisUnavailable {
			t.Errorf("of a session that has ended: %v", err)
		}
		while, stop := context.WithCancel(t.Context())
		go s.KeepMissed(while)
		time.Sleep(5 * time.Second)
		stop()
		synctest.Wait()
		if w.kept != 0 {
			t.Error("recorded while Redis is away")
		}
		w.away = false
		go s.KeepMissed(t.Context())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if w.kept != 1 {
			t.Errorf("recorded %d times", w.kept)
		}
	})
}

// TestASessionWithoutAJobIsPendingForAWhileOnThisBrokersClock: the broker that decided its fate
// may be about to register its job, and its clock may be off.
func TestASessionWithoutAJobIsPendingForAWhileOnThisBrokersClock(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := inState(staging.Assigned)
			w.fate, w.away, w.gone = assignedFate(), true, true
			w.fate.DecidedAt = time.Now().Add(skew)
			s := on(w)
			access := sessions.Access{Session: "s", Tokens: []string{staging.AccessToken([]byte("secret"), "s", "c")}}
			for at := range 30 {
				want := string(staging.Pending)
				if at > 20 {
					want = string(staging.Ended)
				}
				_, err := s.Authorize(t.Context(), access)
				if kindOf(err) != refusal.Forbidden || (at < 10 || at > 20) && !strings.Contains(err.Error(), want) {
					t.Errorf("skew %s, after %d s: %v; want it %s", skew, at, err, want)
				}
				time.Sleep(time.Second)
			}
		})
	}
}

// TestAKeepaliveOfASessionThatRedisLostIsAccepted: its fate says that it is its user's, and a
// client that was told otherwise would not come again.
func TestAKeepaliveOfASessionThatRedisLostIsAccepted(t *testing.T) {
	w := inState(staging.Assigned)
	w.fate, w.session.ID = assignedFate(), ""
	if found, err := on(w).Keepalive(t.Context(), "s"); err != nil || found.State != staging.Assigned {
		t.Errorf("%+v %v", found, err)
	}
	w = inState(staging.Ready)
	w.fate = assignedFate()
	if found, err := on(w).Keepalive(t.Context(), "s"); err != nil || found.State != staging.Assigned {
		t.Errorf("an older copy of Redis: %+v %v", found, err)
	}
	w.fate, w.session.ID = staging.Fate{}, ""
	if _, err := on(w).Keepalive(t.Context(), "s"); kindOf(err) != refusal.NotFound {
		t.Errorf("without a fate: %v", err)
	}
}
