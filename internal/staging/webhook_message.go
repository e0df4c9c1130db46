package staging

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Types of messages that are no event of the stream.
const (
	// WebhookGap: events may be missing before this message. Read the lists anew.
	WebhookGap = EventType("gap")
	// WebhookTest: an administrator tries the webhook.
	WebhookTest = EventType("test")
)

// ErrWebhookMoved: another sender took a webhook's events, or Redis lost its data.
// ErrWebhookFull: too many messages are pending, and no more events are taken.
var (
	ErrWebhookMoved = errors.New("the webhook's cursor is elsewhere")
	ErrWebhookFull  = errors.New("too many of the webhook's messages are pending")
)

// WebhookMessage is one message to a receiver, in a queue or a list of dead letters.
type WebhookMessage struct {
	// Position is its place in the queue or list.
	Position string
	// Event is what happened. Its id never changes, however often the message is sent.
	Event Event
	// Tries are those that failed.
	Tries WebhookTries
}

// WebhookTries are the failed attempts to deliver a message; the zero value for none.
type WebhookTries struct {
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Error is that of the last attempt.
	Error string `json:"error"`
}

// MessageID returns the id of a message of a webhook, for receivers to know repeats by.
func MessageID(webhook string, e Event) string { return webhook + "_" + e.ID }

// Key returns what the message's order holds for: its session, or else its pool, or the rest.
func (m WebhookMessage) Key() string {
	switch e := m.Event; {
	case e.Session != "":
		return e.Session
	case e.Pool != "":
		return "staging " + e.Pool
	default:
		return string(e.Type)
	}
}

// WebhookBody returns the body of the message about an event.
func WebhookBody(e Event) ([]byte, error) {
	body, err := json.Marshal(struct {
		Type      EventType `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      Event     `json:"data"`
	}{e.Type, e.At, e})
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return body, nil
}

// WebhookHealth is what the sender of a webhook's messages last knew of its receiver.
type WebhookHealth struct {
	// FailingSince is when the first of the failures happened that no success followed; zero
	// while the receiver takes messages.
	FailingSince time.Time `json:"failing_since,omitzero"`
	// Error is that of the newest failure, while FailingSince is set.
	Error string `json:"error,omitempty"`
	// DeliveredAt is when a message was last delivered.
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
}

// WebhookDeliveries is how far a webhook's deliveries are.
type WebhookDeliveries struct {
	WebhookHealth
	// Pending counts the messages that are still to be delivered, of which the oldest is about
	// what happened at OldestAt.
	Pending  int       `json:"pending"`
	OldestAt time.Time `json:"oldest_at,omitzero"`
	// DeadLetters counts those that were given up. Dropped counts older dead letters that made
	// room for newer ones.
	DeadLetters int `json:"dead_letters"`
	Dropped     int `json:"dropped,omitempty"`
	// Gaps counts how often events may have been lost, the last time at GapAt.
	Gaps  int       `json:"gaps,omitempty"`
	GapAt time.Time `json:"gap_at,omitzero"`
}

// WebhookCursor is how far a webhook's events were taken, as Consul keeps it beside Redis, so
// that a Redis that lost its newest data, or all, is noticed.
type WebhookCursor struct {
	// Epoch is that of Redis's data.
	Epoch    string `json:"epoch"`
	Position string `json:"position"`
}

// Lost reports whether Redis lost events since the cursor was stored: its data is another,
// or it is behind.
func (c WebhookCursor) Lost(now WebhookCursor) bool {
	return c.Position != "" && (c.Epoch != now.Epoch || CompareEventIDs(now.Position, c.Position) < 0)
}

// GapEvent returns the message which says that events after a position may be missing.
func GapEvent(at time.Time, after, reason string) Event {
	return Event{
		ID: "gap-" + NewClaimID(), Type: WebhookGap, At: at.UTC(),
		Reason: fmt.Sprintf("events since %s may be missing: %s; read the sessions anew", EventTime(after).Format(time.RFC3339), reason),
	}
}
