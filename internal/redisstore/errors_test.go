package redisstore

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestErrorsNameTheCallAndItsObject(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	s, x := New(rdb, Options{}), session("gr-1", time.Minute)
	x.Claim = "c1"
	pools := []staging.Config{{Name: "demo-east", Zone: "east", Image: "demo"}}
	keyed := staging.Claim{ID: "c1", Fingerprint: "f"}
	for want, call := range map[string]func(context.Context) error{
		"ping":                  s.Ping,
		"record session gr-1":   func(ctx context.Context) error { _, err := s.Record(ctx, x); return err },
		"publish session gr-1":  func(ctx context.Context) error { return s.Publish(ctx, x) },
		"withdraw session gr-1": func(ctx context.Context) error { return s.Withdraw(ctx, x) },
		"retire session gr-1":   func(ctx context.Context) error { return s.Retire(ctx, x, "old") },
		"mark session gr-1":     func(ctx context.Context) error { return s.Ended(ctx, x, "gone") },
		"restore session gr-1":  func(ctx context.Context) error { _, err := s.Restore(ctx, x, staging.Fate{}); return err },
		"to broker b": func(ctx context.Context) error {
			_, err := s.Arm(ctx, "b", map[string]int{"p": 1}, time.Second)
			return err
		},
		"keepalive of session":    func(ctx context.Context) error { _, err := s.Keepalive(ctx, "gr-1"); return err },
		"expire the keepalive":    func(ctx context.Context) error { _, err := s.ExpireKeepalive(ctx, x); return err },
		"expire the idle time":    func(ctx context.Context) error { _, err := s.ExpireIdle(ctx, x); return err },
		"expire the first visit":  func(ctx context.Context) error { _, err := s.ExpireUnvisited(ctx, x); return err },
		"code of a link":          func(ctx context.Context) error { _, err := s.Redeem(ctx, "c", time.Minute); return err },
		"sessions of user u":      func(ctx context.Context) error { _, err := s.UserSessions(ctx, "u"); return err },
		"read session gr-1":       func(ctx context.Context) error { _, err := s.Session(ctx, "gr-1"); return err },
		"list all sessions":       func(ctx context.Context) error { _, err := s.Sessions(ctx); return err },
		"count the sessions of 1": func(ctx context.Context) error { _, _, err := s.Counts(ctx, "p"); return err },
		"write the report":        func(ctx context.Context) error { return s.WriteReport(ctx, staging.PoolReport{Pool: "p"}) },
		"read the remarks":        func(ctx context.Context) error { _, err := s.Remarks(ctx); return err },
		"read the conditions":     func(ctx context.Context) error { _, err := s.Conditions(ctx, "p"); return err },
		"read the rollouts":       func(ctx context.Context) error { _, err := s.Rollouts(ctx, "p"); return err },
		"activity":                func(ctx context.Context) error { _, err := s.Activity(ctx, pools); return err },
		"read the time":           func(ctx context.Context) error { _, err := s.Now(ctx); return err },
		"record the history":      func(ctx context.Context) error { return s.NoteHistory(ctx, []staging.PoolNote{{}}) },
		"history of pool p":       func(ctx context.Context) error { _, _, err := s.History(ctx, "p"); return err },
		"marker of zone east":     func(ctx context.Context) error { return s.PlaceMarker(ctx, "east", "m") },
		"read the trust":          func(ctx context.Context) error { _, err := s.Trusted(ctx, "east"); return err },
		"renew trust in zone east": func(ctx context.Context) error {
			_, err := s.RenewTrust(ctx, "east", staging.TrustRenewal{Before: "m", Marker: "n", Recent: true})
			return err
		},
		"read the last event":   func(ctx context.Context) error { _, err := s.LastEvent(ctx); return err },
		"read events after 1-0": func(ctx context.Context) error { _, _, err := s.Events(ctx, "1-0", time.Second); return err },
		"read events from 1-0":  func(ctx context.Context) error { _, _, err := s.EventsFrom(ctx, "1-0", 1); return err },
		"append an event":       func(ctx context.Context) error { return s.Note(ctx, staging.Event{}) },
		"epoch":                 func(ctx context.Context) error { _, err := s.Epoch(ctx); return err },
		"adopt session gr-1":    func(ctx context.Context) error { _, err := s.Adopt(ctx, "k", keyed, "gr-1"); return err },
		"bind the":              func(ctx context.Context) error { return s.Bind(ctx, "k", "c1") },
		"demand of 1 pools":     func(ctx context.Context) error { _, _, err := s.RecentDemand(ctx, []string{"p"}); return err },
		"set what the demand": func(ctx context.Context) error {
			return s.SetDemandSizes(ctx, map[string]staging.DemandSize{"p": {}})
		},
		"set the forecasts of 1 pools": func(ctx context.Context) error {
			return s.SetForecasts(ctx, map[string][]staging.Forecast{"p": nil})
		},
		"read the forecast of pool p": func(ctx context.Context) error { _, err := s.Forecast(ctx, "p"); return err },
		"read what the pools' demand": func(ctx context.Context) error { _, err := s.DemandSizes(ctx); return err },
		"to session gr-1": func(ctx context.Context) error {
			return s.Rebind(ctx, "k", keyed, staging.KeyHolder{Claim: "c1", Sessions: []string{"gr-1"}})
		},
		"detach":                  func(ctx context.Context) error { return s.DetachKey(ctx, "k", "c1") },
		"release":                 func(ctx context.Context) error { return s.Release(ctx, "k", "c1", "") },
		"read an idempotency key": func(ctx context.Context) error { _, err := s.KeyHolder(ctx, "k"); return err },
		"scan greenroom:sessions": func(ctx context.Context) error {
			_, err := s.Page(ctx, staging.SessionFilter{}, staging.Position{}, 1)
			return err
		},
		"count the sessions of user u": func(ctx context.Context) error {
			_, err := s.Page(ctx, staging.SessionFilter{User: "u"}, staging.Position{}, 1)
			return err
		},
	} {
		err := call(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "redis: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one that names %q", err, want)
			continue
		}
		if strings.Count(err.Error(), "redis: ") != 1 {
			t.Errorf("%v is wrapped twice", err)
		}
		var dial *net.OpError
		if !errors.As(err, &dial) {
			t.Errorf("%v hides its cause", err)
		}
	}
}

// TestAPingThatRedisRefusesSaysSo: it answers, and not as it should, which is another matter than no answer.
func TestAPingThatRedisRefusesSaysSo(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: servers.Cluster(t).RedisAddr, Username: "nobody", Password: "wrong"})
	defer rdb.Close()
	var refused interface{ Refused() string }
	if err := New(rdb, Options{}).Ping(t.Context()); !errors.As(err, &refused) || !strings.Contains(refused.Refused(), "WRONGPASS") {
		t.Errorf("Redis refused a wrong password as %v", err)
	}
}
