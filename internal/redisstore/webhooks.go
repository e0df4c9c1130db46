package redisstore

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Bounds of what is kept for webhooks.
const (
	// maxEvents is about how many events the stream keeps for those who follow it.
	// scripts/prelude.lua has the same bound, and that of what is kept for webhooks.
	maxEvents = 10_000
	// maxPending is how many messages of a webhook are pending before it takes no more events;
	// maxDead how many dead letters it has before the oldest make room.
	maxPending = 20_000
	maxDead    = 10_000
)

func (s *Store) cursorsKey() string { return s.o.Prefix + "events:cursors" }
func (s *Store) webhookKey(name, what string) string {
	return s.o.Prefix + "webhook:" + name + ":" + what
}
func (s *Store) pendingKey(name string) string { return s.webhookKey(name, "pending") }
func (s *Store) deadKey(name string) string    { return s.webhookKey(name, "dead") }
func (s *Store) triesKey(name string) string   { return s.webhookKey(name, "tries") }
func (s *Store) stateKey(name string) string   { return s.webhookKey(name, "state") }

// OpenWebhook returns the position up to which a webhook has taken the events. A new one
// begins with what happens from now on. Events are kept for it from then on.
func (s *Store) OpenWebhook(ctx context.Context, name string) (position string, err error) {
	position, err = webhookOpenScript.Run(ctx, s.rdb, []string{s.eventsKey(), s.cursorsKey()}, name).Text()
	return position, callError(err, "open webhook %s", name)
}

// DropWebhook forgets a webhook that was deleted, with its messages.
func (s *Store) DropWebhook(ctx context.Context, name string) error {
	_, err := s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, s.cursorsKey(), name)
		p.Del(ctx, s.pendingKey(name), s.deadKey(name), s.triesKey(name), s.stateKey(name))
		return nil
	})
	return callError(err, "drop webhook %s", name)
}

// OpenWebhooks returns the names of those for which events are kept.
func (s *Store) OpenWebhooks(ctx context.Context) ([]string, error) {
	names, err := s.rdb.HKeys(ctx, s.cursorsKey()).Result()
	return names, callError(err, "list the webhooks' cursors")
}

// TakeEvents moves a webhook's cursor from one position to another, and queues messages about
// those events between them that it sends. It returns staging.ErrWebhookMoved or
// staging.ErrWebhookFull.
func (s *Store) TakeEvents(ctx context.Context, name, from, to string, events []staging.Event) error {
	args := []any{name, from, to, maxPending}
	for _, e := range events {
		args = append(args, mustJSON(e))
	}
	done, err := webhookTakeScript.Run(ctx, s.rdb, []string{s.cursorsKey(), s.pendingKey(name)}, args...).Text()
	switch {
	case err != nil:
		return callError(err, "take events for webhook %s", name)
	case done == "moved":
		return staging.ErrWebhookMoved
	case done == "full":
		return staging.ErrWebhookFull
	}
	return nil
}

// QueueMessage queues one message of a webhook, whatever is pending.
func (s *Store) QueueMessage(ctx context.Context, name string, e staging.Event) error {
	err := s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: s.pendingKey(name), Values: []string{"event", mustJSON(e)}}).Err()
	return callError(err, "queue a message of webhook %s", name)
}

// PendingMessages returns messages of a webhook behind a position, the oldest first; "" for the
// first of all.
func (s *Store) PendingMessages(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error) {
	found, err := s.rdb.XRangeN(ctx, s.pendingKey(name), behind(after), "+", int64(count)).Result()
	if err != nil || len(found) == 0 {
		return nil, callError(err, "read the pending messages of webhook %s", name)
	}
	ids := make([]string, len(found))
	for i, m := range found {
		ids[i] = m.ID
	}
	tries, err := s.rdb.HMGet(ctx, s.triesKey(name), ids...).Result()
	if err != nil {
		return nil, callError(err, "read the tries of webhook %s", name)
	}
	all := make([]staging.WebhookMessage, len(found))
	for i, m := range found {
		all[i] = message(m)
		if text, ok := tries[i].(string); ok {
			// Without them it is tried as if it was new.
			_ = json.Unmarshal([]byte(text), &all[i].Tries)
		}
	}
	return all, nil
}

func behind(position string) string {
	if position == "" {
		return "-"
	}
	return "(" + position
}

// message decodes an entry of a queue or of the dead letters. What does not parse is a
// message without an event, which no receiver can do anything with.
func message(m redis.XMessage) staging.WebhookMessage {
	text := func(k string) string { v, _ := m.Values[k].(string); return v }
	w := staging.WebhookMessage{Position: m.ID}
	_ = json.Unmarshal([]byte(text("event")), &w.Event)
	if tries := text("tries"); tries != "" {
		_ = json.Unmarshal([]byte(tries), &w.Tries)
	}
	return w
}

// Delivered removes messages that were delivered, by their positions.
func (s *Store) Delivered(ctx context.Context, name string, positions []string) error {
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.XDel(ctx, s.pendingKey(name), positions...)
		p.HDel(ctx, s.triesKey(name), positions...)
		return nil
	})
	return callError(err, "remove delivered messages of webhook %s", name)
}

// Tried stores the failed attempts of a pending message.
func (s *Store) Tried(ctx context.Context, name, position string, tries staging.WebhookTries) error {
	err := s.rdb.HSet(ctx, s.triesKey(name), position, mustJSON(tries)).Err()
	return callError(err, "store the tries of webhook %s", name)
}

// Bury makes a pending message a dead letter, and returns how many older dead letters were
// dropped to make room.
func (s *Store) Bury(ctx context.Context, name, position string, tries staging.WebhookTries) (dropped int, err error) {
	dropped, err = webhookBuryScript.Run(ctx, s.rdb, []string{s.pendingKey(name), s.deadKey(name), s.triesKey(name), s.stateKey(name)},
		position, mustJSON(tries), maxDead).Int()
	return dropped, callError(err, "bury a message of webhook %s", name)
}

// DeadLetters returns dead letters of a webhook behind a position, the oldest first; "" for
// the first of all.
func (s *Store) DeadLetters(ctx context.Context, name, after string, count int) ([]staging.WebhookMessage, error) {
	found, err := s.rdb.XRangeN(ctx, s.deadKey(name), behind(after), "+", int64(count)).Result()
	if err != nil {
		return nil, callError(err, "read the dead letters of webhook %s", name)
	}
	all := make([]staging.WebhookMessage, len(found))
	for i, m := range found {
		all[i] = message(m)
	}
	return all, nil
}

// Replay makes dead letters pending again, by their positions, or all that there are where
// none is given. It returns how many.
func (s *Store) Replay(ctx context.Context, name string, positions []string) (replayed int, err error) {
	newest, err := s.rdb.XRevRangeN(ctx, s.deadKey(name), "+", "-", 1).Result()
	if err != nil || len(newest) == 0 {
		return 0, callError(err, "read the dead letters of webhook %s", name)
	}
	args := []any{newest[0].ID}
	for _, p := range positions {
		args = append(args, p)
	}
	for {
		moved, err := webhookReplayScript.Run(ctx, s.rdb, []string{s.pendingKey(name), s.deadKey(name)}, args...).Int()
		if err != nil {
			return replayed, callError(err, "replay dead letters of webhook %s", name)
		}
		replayed += moved
		if moved == 0 || len(positions) > 0 {
			return replayed, nil
		}
	}
}

// SetWebhookHealth stores what the sender knows of a webhook's receiver.
func (s *Store) SetWebhookHealth(ctx context.Context, name string, h staging.WebhookHealth) error {
	err := s.rdb.HSet(ctx, s.stateKey(name), "health", mustJSON(h)).Err()
	return callError(err, "store the health of webhook %s", name)
}

// NoteGap queues the message that events may be missing, and counts it.
func (s *Store) NoteGap(ctx context.Context, name string, gap staging.Event) error {
	_, err := s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.XAdd(ctx, &redis.XAddArgs{Stream: s.pendingKey(name), Values: []string{"event", mustJSON(gap)}})
		p.HIncrBy(ctx, s.stateKey(name), "gaps", 1)
		p.HSet(ctx, s.stateKey(name), "gap_at", strconv.FormatInt(gap.At.UnixMilli(), 10))
		return nil
	})
	return callError(err, "note a gap of webhook %s", name)
}

// WebhookDeliveries reads how far a webhook's deliveries are.
func (s *Store) WebhookDeliveries(ctx context.Context, name string) (d staging.WebhookDeliveries, err error) {
	var (
		pending, dead *redis.IntCmd
		oldest        *redis.XMessageSliceCmd
		state         *redis.MapStringStringCmd
	)
	_, err = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		pending, dead = p.XLen(ctx, s.pendingKey(name)), p.XLen(ctx, s.deadKey(name))
		oldest = p.XRangeN(ctx, s.pendingKey(name), "-", "+", 1)
		state = p.HGetAll(ctx, s.stateKey(name))
		return nil
	})
	if err != nil {
		return d, callError(err, "read the deliveries of webhook %s", name)
	}
	d.Pending, d.DeadLetters = int(pending.Val()), int(dead.Val())
	if first := oldest.Val(); len(first) > 0 {
		d.OldestAt = message(first[0]).Event.At
	}
	h := state.Val()
	if text := h["health"]; text != "" {
		_ = json.Unmarshal([]byte(text), &d.WebhookHealth) // the sender writes it again
	}
	d.Dropped, _ = strconv.Atoi(h["dropped"])
	d.Gaps, _ = strconv.Atoi(h["gaps"])
	d.GapAt = millis(h["gap_at"])
	return d, nil
}

// TrimEvents trims the events to those that their followers may want, unless a webhook has
// still to take older ones.
func (s *Store) TrimEvents(ctx context.Context) error {
	for {
		// Redis removes some thousands in a step, and so holds nobody up.
		removed, err := webhookTrimScript.Run(ctx, s.rdb, []string{s.eventsKey(), s.cursorsKey()}, maxEvents, maxEvents/2).Int()
		if err != nil || removed == 0 {
			return callError(err, "trim the events")
		}
	}
}
