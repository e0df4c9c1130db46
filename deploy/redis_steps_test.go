package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// redisStep is something that an agent does in Redis.
type redisStep struct {
	name string
	do   func(ctx context.Context) error
}

// redisWorld is a Redis in which one agent, as a user with few rights, does its part, and a
// user with all rights the parts of the others.
type redisWorld struct {
	t *testing.T
	// agent is the store of the agent with few rights, others that of the others.
	agent, others *redisstore.Store
	// info asks as greenroom doctor does, which takes a scaler's settings.
	info func(ctx context.Context) error
	// spoil makes a session's record one that cannot be read.
	spoil func(ctx context.Context, id string) error
}

const redisPool = "app-east"

// ready is a session that a scaler has published.
func (w *redisWorld) ready(revision string) staging.Session {
	w.t.Helper()
	x := staging.Session{
		ID: staging.NewSessionID(), State: staging.Pending, Origin: staging.Staged, Zone: zone.Name, Image: "app", Staging: redisPool,
		AllocID: "a", Address: "192.0.2.1", Ports: map[string]int{"http": 1}, CreatedAt: time.Now().UTC(), Revision: revision,
	}
	w.must(w.others.Publish(patient(w.t), x))
	x, err := w.others.Session(patient(w.t), x.ID)
	w.must(err)
	return x
}

// assigned is a session that is a user's.
func (w *redisWorld) assigned() staging.Session {
	w.t.Helper()
	w.ready("")
	r, err := w.others.Claim(patient(w.t), w.pools(), 1, w.claim())
	w.must(err)
	x := r.Sessions[0]
	x.State = staging.Assigned
	x, err = w.others.Assign(patient(w.t), x)
	w.must(err)
	return x
}

// onDemand is a session that a launch makes.
func (w *redisWorld) onDemand() staging.Session {
	return staging.Session{ID: staging.NewSessionID(), Origin: staging.OnDemand, Zone: zone.Name, Image: "app", CreatedAt: time.Now().UTC()}
}

func (w *redisWorld) pools() []staging.Config {
	return []staging.Config{{Name: redisPool, Zone: zone.Name, Image: "app"}}
}

func (w *redisWorld) claim() staging.Claim {
	id := staging.NewClaimID()
	return staging.Claim{ID: id, Image: "app", Zone: zone.Name, User: staging.User{ID: "u", Name: "alice"}, IdempotencyKey: "key-of-" + id, Fingerprint: "f"}
}

func (w *redisWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// claims takes sessions of the pool.
func (w *redisWorld) claims(n int) func(context.Context) error {
	return func(ctx context.Context) error {
		for range n {
			w.ready("")
		}
		r, err := w.agent.Claim(ctx, w.pools(), n, w.claim())
		if err == nil && len(r.Sessions) != n {
			err = fmt.Errorf("%d sessions, want %d: %s", len(r.Sessions), n, r.Outcome)
		}
		return err
	}
}

// of wraps a call that returns more than an error.
func of[T any](f func(context.Context) (T, error)) func(context.Context) error {
	return func(ctx context.Context) error { _, err := f(ctx); return err }
}

// starts is what every agent does.
func (w *redisWorld) starts() []redisStep {
	ours := staging.Installation{ID: "an-installation"}
	return []redisStep{
		{"ping", w.agent.Ping},
		{"read the installation", of(w.agent.Installation)},
		{"join the installation", func(ctx context.Context) error { return w.agent.Belongs(ctx, ours) }},
		{"take over the installation", func(ctx context.Context) error {
			return w.agent.Belongs(ctx, staging.Installation{ID: "its-successor", Adopted: []string{ours.ID}})
		}},
	}
}

// follows is what every agent that shows events does.
func (w *redisWorld) follows() []redisStep {
	return []redisStep{
		{"note an event", func(ctx context.Context) error { return w.agent.Note(ctx, staging.Event{Type: staging.EventAudit}) }},
		{"find the last event", of(w.agent.LastEvent)},
		{"follow the events", func(ctx context.Context) error {
			_, _, err := w.agent.Events(ctx, "0-0", time.Millisecond)
			return err
		}},
		{"read events from one on", func(ctx context.Context) error {
			_, _, err := w.agent.EventsFrom(ctx, "0-1", 1)
			return err
		}},
	}
}

// routes is what a gateway does, by itself or in a broker.
func (w *redisWorld) routes() []redisStep {
	return []redisStep{
		{"read a session", func(ctx context.Context) error { _, err := w.agent.Session(ctx, w.ready("").ID); return err }},
		{"count a link", func(ctx context.Context) error { _, err := w.agent.Redeem(ctx, "a-code", time.Minute); return err }},
		{"note a use of a session", func(ctx context.Context) error { _, err := w.agent.Keepalive(ctx, w.assigned().ID); return err }},
		{"receive uses", of(w.agent.NoteGateway)},
		{"assign again what Redis forgot", func(ctx context.Context) error {
			w.ready("")
			r, err := w.others.Claim(ctx, w.pools(), 1, w.claim())
			if err != nil {
				return err
			}
			_, err = w.agent.Assign(ctx, r.Sessions[0])
			return err
		}},
		{"end a session", func(ctx context.Context) error {
			x := w.assigned()
			return w.agent.Finish(ctx, x.ID, x.Claim, "by request")
		}},
	}
}

// ofGateway are the steps of a gateway that runs by itself.
func (w *redisWorld) ofGateway() []redisStep {
	return append(append(w.starts(), w.follows()...), w.routes()...)
}

// ofBroker are the steps of a broker.
func (w *redisWorld) ofBroker() []redisStep {
	held := w.claim() // of the launch whose Idempotency-Key the steps below change
	key := held.IdempotencyKey
	return append(append(append(w.starts(), w.follows()...), w.routes()...), []redisStep{
		{"read the time", of(w.agent.Now)},
		{"take a session", w.claims(1)},
		{"take several", w.claims(2)},
		{"take one, and find no other", func(ctx context.Context) error {
			w.ready("")
			_, err := w.agent.Claim(ctx, w.pools(), 99, w.claim())
			return err
		}},
		{"take the one that is preferred", func(ctx context.Context) error {
			c := w.claim()
			c.Prefer = []string{w.ready("").ID}
			_, err := w.agent.Claim(ctx, w.pools(), 1, c)
			return err
		}},
		{"begin one on demand", func(ctx context.Context) error { _, err := w.agent.Begin(ctx, w.onDemand(), held); return err }},
		{"keep the key for longer", func(ctx context.Context) error { return w.agent.KeepKey(ctx, key, held.ID, time.Hour) }},
		{"renew the key", func(ctx context.Context) error { return w.agent.RenewKey(ctx, key, held.ID) }},
		{"read the key", func(ctx context.Context) error { _, err := w.agent.KeyHolder(ctx, key); return err }},
		{"detach the key", func(ctx context.Context) error { return w.agent.DetachKey(ctx, key, held.ID) }},
		{"release the key", func(ctx context.Context) error { return w.agent.Release(ctx, key, held.ID, "") }},
		{"adopt a session", func(ctx context.Context) error { _, err := w.agent.Adopt(ctx, key, held, "gr-1"); return err }},
		{"bind the key", func(ctx context.Context) error { return w.agent.Bind(ctx, key, held.ID) }},
		{"bind a repeat", func(ctx context.Context) error {
			return w.agent.Rebind(ctx, key, held, staging.KeyHolder{Claim: held.ID, Sessions: []string{"gr-1"}})
		}},
		{"return a session", func(ctx context.Context) error {
			w.ready("")
			r, err := w.others.Claim(ctx, w.pools(), 1, w.claim())
			if err != nil {
				return err
			}
			return w.agent.Unclaim(ctx, r.Sessions[0])
		}},
		{"arm sessions", func(ctx context.Context) error {
			w.ready("")
			_, err := w.agent.Arm(ctx, "a-broker", map[string]int{redisPool: 1}, time.Minute)
			return err
		}},
		{"retire a session", func(ctx context.Context) error { return w.agent.Retire(ctx, w.ready(""), "by request") }},
		{"restore an assigned session", w.restores()},
		{"extend a session", func(ctx context.Context) error { _, err := w.agent.Extend(ctx, w.assigned(), "by request"); return err }},
		{"receive keepalives", of(w.agent.NoteReceiving)},
		{"list all sessions", of(w.agent.Sessions)},
		{"list a user's sessions", func(ctx context.Context) error { _, err := w.agent.UserSessions(ctx, "u"); return err }},
		{"page through all", w.pages(staging.SessionFilter{})},
		{"page through a user's", w.pages(staging.SessionFilter{User: "u"})},
		{"page through a pool's", w.pages(staging.SessionFilter{Staging: redisPool, States: []staging.State{staging.Starting}})},
		{"page through those that ended", w.pages(staging.SessionFilter{States: []staging.State{staging.Ended}})},
		{"read the activity", func(ctx context.Context) error { _, err := w.agent.Activity(ctx, w.pools()); return err }},
		{"read the conditions", func(ctx context.Context) error { _, err := w.agent.Conditions(ctx, redisPool); return err }},
		{"count sessions", func(ctx context.Context) error { _, _, err := w.agent.Counts(ctx, redisPool); return err }},
		{"find the oldest", func(ctx context.Context) error { w.ready(""); _, err := w.agent.Oldest(ctx, redisPool); return err }},
		{"read what demand asks for", of(w.agent.DemandSizes)},
		{"read failures", of(w.agent.Failures)},
		{"read what is kept", of(w.agent.Kept)},
		{"read remarks", of(w.agent.Remarks)},
		{"read rollouts", func(ctx context.Context) error { _, err := w.agent.Rollouts(ctx, redisPool); return err }},
		{"read usual times", of(w.agent.Usual)},
		{"read other installations", of(w.agent.Foreign)},
		{"read a forecast", func(ctx context.Context) error { _, err := w.agent.Forecast(ctx, redisPool); return err }},
		{"read a history", func(ctx context.Context) error { _, _, err := w.agent.History(ctx, redisPool); return err }},
		{"note a history", func(ctx context.Context) error {
			return w.agent.NoteHistory(ctx, []staging.PoolNote{{Config: w.pools()[0]}})
		}},
		{"read the trust", func(ctx context.Context) error { _, err := w.agent.Trusted(ctx, zone.Name); return err }},
		{"open a webhook", func(ctx context.Context) error { _, err := w.agent.OpenWebhook(ctx, "hook"); return err }},
		{"queue a test message", func(ctx context.Context) error { return w.agent.QueueMessage(ctx, "hook", staging.Event{Type: "test"}) }},
		{"read deliveries", func(ctx context.Context) error { _, err := w.agent.WebhookDeliveries(ctx, "hook"); return err }},
		{"read dead letters", func(ctx context.Context) error {
			if err := w.buried(ctx, w.others); err != nil {
				return err
			}
			_, err := w.agent.DeadLetters(ctx, "hook", "", 10)
			return err
		}},
		{"replay dead letters", func(ctx context.Context) error { _, err := w.agent.Replay(ctx, "hook", nil); return err }},
	}...)
}

// restores restores an assigned session from its fate record.
func (w *redisWorld) restores() func(context.Context) error {
	return func(ctx context.Context) error {
		x := w.ready("")
		_, err := w.agent.Restore(ctx, x, staging.Fate{
			Session: x.ID, Verdict: staging.VerdictAssigned, Claim: staging.NewClaimID(), User: &staging.User{ID: "u"},
		})
		return err
	}
}

func (w *redisWorld) pages(f staging.SessionFilter) func(context.Context) error {
	return func(ctx context.Context) error { _, err := w.agent.Page(ctx, f, staging.Position{}, 10); return err }
}

// buried has a message of a webhook that could not be delivered.
func (w *redisWorld) buried(ctx context.Context, s *redisstore.Store) error {
	if err := w.others.QueueMessage(ctx, "hook", staging.Event{Type: "test"}); err != nil {
		return err
	}
	pending, err := s.PendingMessages(ctx, "hook", "", 1)
	if err != nil {
		return err
	}
	if len(pending) == 0 {
		return errors.New("no message is pending")
	}
	_, err = s.Bury(ctx, "hook", pending[0].Position, staging.WebhookTries{})
	return err
}

// discards deletes a record that cannot be read.
func (w *redisWorld) discards(ctx context.Context, x staging.Session) error {
	if err := w.spoil(ctx, x.ID); err != nil {
		return err
	}
	return w.agent.Discard(ctx, x)
}

// ofScaler are the steps of a scaler.
func (w *redisWorld) ofScaler() []redisStep {
	session := func(do func(context.Context, staging.Session) error) func(context.Context) error {
		return func(ctx context.Context) error { return do(ctx, w.ready("")) }
	}
	users := func(do func(context.Context, staging.Session) (staging.Session, error)) func(context.Context) error {
		return func(ctx context.Context) error { _, err := do(ctx, w.assigned()); return err }
	}
	because := func(do func(context.Context, staging.Session, string) error) func(context.Context) error {
		return session(func(ctx context.Context, x staging.Session) error { return do(ctx, x, "a reason") })
	}
	return append(append(w.starts(), w.follows()...), []redisStep{
		{"read the time", of(w.agent.Now)},
		{"read the epoch", of(w.agent.Epoch)},
		{"place a marker", func(ctx context.Context) error { return w.agent.PlaceMarker(ctx, zone.Name, "m") }},
		{"renew the trust", func(ctx context.Context) error {
			_, err := w.agent.RenewTrust(ctx, zone.Name, staging.TrustRenewal{Before: "m", Marker: "m"})
			return err
		}},
		{"record a session", session(func(ctx context.Context, x staging.Session) error {
			x.ID, x.State = staging.NewSessionID(), staging.Pending
			_, err := w.agent.Record(ctx, x)
			return err
		})},
		{"publish a session", session(func(ctx context.Context, x staging.Session) error {
			x.ID = staging.NewSessionID()
			return w.agent.Publish(ctx, x)
		})},
		{"withdraw a session", session(w.agent.Withdraw)},
		{"reorder the queue", session(func(ctx context.Context, x staging.Session) error { _, err := w.agent.Reorder(ctx, x); return err })},
		{"retire a session", because(w.agent.Retire)},
		{"quarantine a session", session(func(ctx context.Context, x staging.Session) error { _, err := w.agent.Quarantine(ctx, x); return err })},
		{"restore an assigned session", w.restores()},
		{"note that one restarted", func(ctx context.Context) error { return w.agent.Restarted(ctx, w.assigned(), "a reason") }},
		{"end a session", because(w.agent.Ended)},
		{"list all sessions", of(w.agent.Sessions)},
		{"read a session", session(func(ctx context.Context, x staging.Session) error { _, err := w.agent.Session(ctx, x.ID); return err })},
		{"leave a readable record alone, and go on", session(func(ctx context.Context, x staging.Session) error {
			if err := w.agent.Discard(ctx, x); err != nil {
				return err
			}
			// A key that is still watched when it changes lets the next transaction fail.
			if err := w.others.Withdraw(ctx, x); err != nil {
				return err
			}
			return w.agent.NoteGap(ctx, "hook", staging.Event{Type: "gap"})
		})},
		{"discard a record", session(func(ctx context.Context, x staging.Session) error { return w.discards(ctx, x) })},
		{"assign a session", users(w.agent.Assign)},
		{"finish one", func(ctx context.Context) error { x := w.assigned(); return w.agent.Finish(ctx, x.ID, x.Claim, "x") }},
		{"let a keepalive expire", users(w.agent.ExpireKeepalive)},
		{"let one that is idle expire", users(w.agent.ExpireIdle)},
		{"let one that is not visited expire", users(w.agent.ExpireUnvisited)},
		{"let one at its limit expire", users(func(ctx context.Context, x staging.Session) (staging.Session, error) {
			return w.agent.ExpireLimit(ctx, x, "a reason")
		})},
		{"warn of the end", users(func(ctx context.Context, x staging.Session) (staging.Session, error) {
			return w.agent.WarnEnd(ctx, x, "soon")
		})},
		{"extend a session", users(func(ctx context.Context, x staging.Session) (staging.Session, error) {
			return w.agent.Extend(ctx, x, "a reason")
		})},
		{"note the health of one", func(ctx context.Context) error { return w.agent.NoteHealth(ctx, w.assigned(), false, "x") }},
		{"note that one waits for room", func(ctx context.Context) error {
			x, c := w.onDemand(), w.claim()
			if _, err := w.others.Begin(ctx, x, c); err != nil {
				return err
			}
			x.Claim = c.ID
			return w.agent.NoteRoom(ctx, x, "x")
		}},
		{"note that one is a user's again", func(ctx context.Context) error { return w.agent.Reassigned(ctx, w.assigned(), "", "x") }},
		{"restart keepalives", w.agent.RestartKeepalives},
		{"release a key", func(ctx context.Context) error {
			c := w.claim()
			if _, err := w.others.Adopt(ctx, c.IdempotencyKey, c, ""); err != nil {
				return err
			}
			return w.agent.Release(ctx, c.IdempotencyKey, c.ID, "")
		}},
		{"report on a pool", func(ctx context.Context) error {
			return w.agent.WriteReport(ctx, staging.PoolReport{Pool: redisPool, Zone: zone.Name, Conditions: []staging.Condition{{Type: "Short"}}})
		}},
		{"read the conditions", func(ctx context.Context) error { _, err := w.agent.Conditions(ctx, redisPool); return err }},
		{"read usual times", of(w.agent.Usual)},
		{"read the recent demand", func(ctx context.Context) error {
			_, _, err := w.agent.RecentDemand(ctx, []string{redisPool})
			return err
		}},
		{"set what demand asks for", func(ctx context.Context) error {
			return w.agent.SetDemandSizes(ctx, map[string]staging.DemandSize{redisPool: {}})
		}},
		{"set forecasts", func(ctx context.Context) error {
			return w.agent.SetForecasts(ctx, map[string][]staging.Forecast{redisPool: {{}}})
		}},
		{"read a forecast", func(ctx context.Context) error { _, err := w.agent.Forecast(ctx, redisPool); return err }},
		{"read a history", func(ctx context.Context) error { _, _, err := w.agent.History(ctx, redisPool); return err }},
		{"tell of other installations", func(ctx context.Context) error { return w.agent.SetForeign(ctx, nil) }},
		{"open a webhook", func(ctx context.Context) error { _, err := w.agent.OpenWebhook(ctx, "hook"); return err }},
		{"list the open webhooks", of(w.agent.OpenWebhooks)},
		{"take events for a webhook", func(ctx context.Context) error {
			position, err := w.others.OpenWebhook(ctx, "hook")
			if err != nil {
				return err
			}
			return w.agent.TakeEvents(ctx, "hook", position, position, []staging.Event{{Type: "test"}})
		}},
		{"note a gap", func(ctx context.Context) error { return w.agent.NoteGap(ctx, "hook", staging.Event{Type: "gap"}) }},
		{"bury a message", func(ctx context.Context) error { return w.buried(ctx, w.agent) }},
		{"note a try", func(ctx context.Context) error { return w.agent.Tried(ctx, "hook", "1-1", staging.WebhookTries{}) }},
		{"note a delivery", func(ctx context.Context) error { return w.agent.Delivered(ctx, "hook", []string{"1-1"}) }},
		{"note a webhook's health", func(ctx context.Context) error {
			return w.agent.SetWebhookHealth(ctx, "hook", staging.WebhookHealth{})
		}},
		{"read deliveries", func(ctx context.Context) error { _, err := w.agent.WebhookDeliveries(ctx, "hook"); return err }},
		{"trim the events", w.agent.TrimEvents},
		{"drop a webhook", func(ctx context.Context) error { return w.agent.DropWebhook(ctx, "hook") }},
		{"let greenroom doctor read the settings", w.info},
	}...)
}
