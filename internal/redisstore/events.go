package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// LastEvent gives the position of the newest event, to read on from.
func (s *Store) LastEvent(ctx context.Context) (string, error) {
	last, err := s.rdb.XRevRangeN(ctx, s.eventsKey(), "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return "0-0", err
	}
	return last[0].ID, nil
}

// eventPage bounds one read of Events.
const eventPage = 1000

// Events gives what happened after a position, waiting up to block for the
// first of it, and the position to read on from. No event in time is no error.
func (s *Store) Events(ctx context.Context, after string, block time.Duration) ([]staging.Event, string, error) {
	streams, err := s.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{s.eventsKey(), after}, Count: eventPage, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, after, nil
	}
	if err != nil {
		return nil, after, err
	}
	var events []staging.Event
	for _, m := range streams[0].Messages {
		events = append(events, event(m))
		after = m.ID
	}
	return events, after, nil
}

// event reads an event as it is kept.
func event(m redis.XMessage) staging.Event {
	text := func(k string) string { v, _ := m.Values[k].(string); return v }
	e := staging.Event{
		ID: m.ID, At: staging.EventTime(m.ID),
		Type: staging.EventType(text("type")), Session: text("session"), Pool: text("pool"), Reason: text("reason"),
		Zone: text("zone"), Image: text("image"), User: text("user_id"), Setting: text("setting"), Where: text("where"),
		Hook: staging.HookName(text("hook")), Stdout: text("stdout"), Stderr: text("stderr"),
		Audit: staging.Audit{
			Who: text("who"), Role: text("role"), Operation: text("operation"), Outcome: staging.AuditOutcome(text("outcome")),
			Target: text("target"), Before: text("before"), After: text("after"), Reason: text("audit_reason"),
			Remote: text("remote"),
		},
	}
	if e.Type == staging.EventAudit {
		e.Audit.RequestID = text("request_id")
	} else {
		e.RequestID = text("request_id")
	}
	if cs := text("conditions"); cs != "" {
		// Written by us; one that does not parse is still an event with its reason.
		_ = json.Unmarshal([]byte(cs), &e.Conditions)
	}
	return e
}

// EventsFrom gives up to count events after the one at a position, without waiting, and
// whether that one is still kept: where it is not, others after it may be gone, too.
func (s *Store) EventsFrom(ctx context.Context, position string, count int) (events []staging.Event, kept bool, err error) {
	found, err := s.rdb.XRangeN(ctx, s.eventsKey(), position, "+", int64(count)+1).Result()
	if err != nil {
		return nil, false, err
	}
	if kept = len(found) > 0 && found[0].ID == position; kept {
		found = found[1:]
	}
	for _, m := range found[:min(len(found), count)] {
		events = append(events, event(m))
	}
	return events, kept, nil
}

// Bounds of the event stream, which the scripts have too, and of what a hook
// wrote in one event.
const (
	maxEvents = 10000
	maxOutput = 4096
)

// Note keeps an event that is no move of a session: a violation, a failed hook, what auditors are told.
func (s *Store) Note(ctx context.Context, e staging.Event) error {
	values := []string{"type", string(e.Type), "session", e.Session, "pool", e.Pool}
	for _, f := range [][2]string{
		{"reason", e.Reason},
		{"zone", e.Zone},
		{"image", e.Image},
		{"user_id", e.User},
		{"setting", e.Setting},
		{"where", e.Where},
		{"hook", string(e.Hook)},
		{"stdout", tail(e.Stdout)},
		{"stderr", tail(e.Stderr)},
		{"who", e.Audit.Who},
		{"role", e.Audit.Role},
		{"operation", e.Audit.Operation},
		{"outcome", string(e.Audit.Outcome)},
		{"target", e.Audit.Target},
		{"before", e.Audit.Before},
		{"after", e.Audit.After},
		{"audit_reason", e.Audit.Reason},
		{"remote", e.Audit.Remote},
		{"request_id", cmp.Or(e.RequestID, e.Audit.RequestID)},
	} {
		if f[1] != "" {
			values = append(values, f[0], f[1])
		}
	}
	return s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: s.eventsKey(), MaxLen: maxEvents, Approx: true, Values: values}).Err()
}

// tail is the end of a hook's output.
func tail(s string) string {
	return s[max(0, len(s)-maxOutput):]
}

// Epoch names this life of Redis's data: it changes when the data was wiped,
// which nothing else would tell a reader of events.
func (s *Store) Epoch(ctx context.Context) (string, error) {
	// Read first: a Redis that takes no writes can still say that it was not wiped.
	epoch, err := s.rdb.Get(ctx, s.epochKey()).Result()
	if !errors.Is(err, redis.Nil) {
		return epoch, err
	}
	fresh := staging.NewClaimID()
	set, err := s.rdb.SetNX(ctx, s.epochKey(), fresh, 0).Result()
	if err != nil || set {
		return fresh, err
	}
	return s.rdb.Get(ctx, s.epochKey()).Result()
}
