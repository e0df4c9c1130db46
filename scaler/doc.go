// Package scaler keeps every pool at its desired number of ready sessions.
//
// It reconciles: it observes (Nomad's event stream, Consul's health checks, the
// registry, and session events in Redis), keeps the result in memory, calls the
// pure functions Decide and DecideSession, and applies the steps they return. One
// goroutine, the loop, owns the view. Watchers and workers send it updates over a
// channel, so nothing in the view needs a lock.
//
// Any number of scalers may run. They share the zones through one Consul lock per
// zone. A scaler acts in a zone only while it holds that zone's lock, starting a
// moment after it took it, and stops at once when the lock is lost or Consul is
// unreachable. A lock counts as held until its last successful renewal is too old
// by the monotonic clock. A step that is already running is completed: two scalers
// acting in one zone for a moment may create and remove spare sessions, and nothing
// worse, because fate records decide everything that must happen only once.
//
// Every second it renews the trust in Redis of each zone in which it acts, once
// Redis is consistent there. Brokers use Redis for claims only while that trust is
// fresh; see trust.go.
//
// The package promises:
//
//   - No action without observation. There is no plan before the registry, Nomad and
//     Redis have been read completely, nor from the moment one of them fails until it
//     has been read again. While Consul's health checks of a pool are not current,
//     nothing is published or withdrawn there, and no session counts as unhealthy.
//   - No claimed or assigned session is stopped to shrink a pool. A retirement must
//     be accepted by Redis and then decided by the fate record in Consul; only then
//     is the job stopped.
//   - Steps per pass are bounded, and each session has at most one step under way.
//   - A failed step is retried after a short pause. A lost event delays a session
//     until the next resync; it never loses the session.
//
// Where to look: loop.go runs the passes, decide.go and decide_session.go hold the
// rules, apply.go carries out steps, sources.go and redis_source.go follow the
// servers, view.go and entry.go hold the state.
package scaler
