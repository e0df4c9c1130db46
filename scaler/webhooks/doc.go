// Package webhooks delivers events to the receivers of webhooks.
//
// It promises that each event that a webhook wants is delivered at least once or becomes a
// dead letter, that a session's messages are delivered in their order, and that nobody waits
// for a receiver: events are read from Redis's stream, and nothing writes to this package. Of
// all scalers one sends, by a lock in Consul.
//
// Three things keep that promise. A webhook's cursor moves over the events in the same step in
// which they are queued, in Redis. The stream is not trimmed beyond the slowest cursor, up to a
// bound. And where events may have been lost all the same, because that bound was reached or
// Redis lost its data, a message of type gap says so, and a metric does.
//
// lanes decides which message is sent next, and is pure. A worker serves one webhook: it takes
// events (take.go) and delivers messages (worker.go). The Sender (sender.go) runs a worker for
// each webhook while this program holds the lock.
package webhooks
