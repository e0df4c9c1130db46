package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// LastEvent returns the position of the newest event, "0-0" if there is none.
func (s *Store) LastEvent(ctx context.Context) (string, error) {
	last, err := s.rdb.XRevRangeN(ctx, s.eventsKey(), "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return "0-0", callError(err, "read the last event")
	}
	return last[0].ID, nil
}

// eventsTimeout bounds a read of events beyond the wait for the first. The client's own
// timeout for a command that blocks is 10 s longer than the wait.
const eventsTimeout = 3 * time.Second

// eventPage is the most events that one call of Events reads.
const eventPage = 1000

// Events reads the events after a position, and returns the position to continue at. If
// there is none yet, it waits up to block for the first one; none in that time is no error.
func (s *Store) Events(ctx context.Context, after string, block time.Duration) ([]staging.Event, string, error) {
	ctx, cancel := context.WithTimeout(ctx, block+eventsTimeout)
	defer cancel()
	streams, err := s.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{s.eventsKey(), after}, Count: eventPage, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, after, nil
	}
	if err != nil {
		return nil, after, callError(err, "read events after %s", after)
	}
	var events []staging.Event
	for _, m := range streams[0].Messages {
		events = append(events, event(m))
		after = m.ID
	}
	return events, after, nil
}

// event decodes an entry of the stream.
func event(m redis.XMessage) staging.Event {
	text := func(k string) string { v, _ := m.Values[k].(string); return v }
	e := staging.Event{
		ID: m.ID, At: staging.EventTime(m.ID),
		Type: staging.EventType(text("type")), Session: text("session"), Pool: text("pool"), Reason: text("reason"),
		Zone: text("zone"), Image: text("image"), User: text("user_id"), Setting: text("setting"), Where: text("where"),
		Hook: staging.HookName(text("hook")), Stdout: text("stdout"), Stderr: text("stderr"),
		TaskEvents: lines(text("task_events")),
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
		// If the conditions do not parse, the event still has its reason.
		_ = json.Unmarshal([]byte(cs), &e.Conditions)
	}
	return e
}

// EventsFrom reads up to count events after a position, without waiting. kept reports
// whether the event at the position still exists. If it does not, later ones may be gone,
// too.
func (s *Store) EventsFrom(ctx context.Context, position string, count int) (events []staging.Event, kept bool, err error) {
	found, err := s.rdb.XRangeN(ctx, s.eventsKey(), position, "+", int64(count)+1).Result()
	if err != nil {
		return nil, false, callError(err, "read events from %s on", position)
	}
	if kept = len(found) > 0 && found[0].ID == position; kept {
		found = found[1:]
	}
	for _, m := range found[:min(len(found), count)] {
		events = append(events, event(m))
	}
	return events, kept, nil
}

// maxOutput is the most bytes of a hook's output that one event keeps, of each stream.
const maxOutput = 4096

// Note appends an event that is not a move of a session: a violation, a failed hook, an
// audit record.
func (s *Store) Note(ctx context.Context, e staging.Event) error {
	values := []any{string(e.Type), e.Session, e.Pool}
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
		{"task_events", tail(strings.Join(e.TaskEvents, "\n"))},
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
	err := noteScript.Run(ctx, s.rdb, []string{s.eventsKey()}, values...).Err()
	return callError(err, "append an event of type %s", e.Type)
}

// lines returns the lines of a text; nil for "".
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// tail returns the last maxOutput bytes of a hook's output.
func tail(s string) string {
	return s[max(0, len(s)-maxOutput):]
}

// Epoch returns the id of this life of Redis's data. It changes when the data was wiped,
// which a reader of events could not find out otherwise.
func (s *Store) Epoch(ctx context.Context) (string, error) {
	// Read first: a Redis that refuses writes still shows that it was not wiped.
	epoch, err := s.rdb.Get(ctx, s.epochKey()).Result()
	if !errors.Is(err, redis.Nil) {
		return epoch, callError(err, "read the epoch")
	}
	fresh := staging.NewClaimID()
	set, err := s.rdb.SetNX(ctx, s.epochKey(), fresh, 0).Result()
	if err != nil || set {
		return fresh, callError(err, "set the epoch")
	}
	epoch, err = s.rdb.Get(ctx, s.epochKey()).Result()
	return epoch, callError(err, "read the epoch")
}
