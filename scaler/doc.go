// Package scaler keeps every pool at its desired number of ready sessions.
//
// It observes (Nomad's event stream, Consul's health, the registry, and what
// launches do in Redis), holds what it knows in memory, asks the pure Decide
// and DecideSession what to do, and applies their steps. One goroutine owns the view;
// the watchers only send it news, and the workers that apply steps only send it
// results, so nothing in the view is locked.
//
// Any number of scalers may run. They share the zones by one lock for each: a
// scaler acts in a zone only while it surely holds the zone's lock, from a
// moment after it took it, and stops at once when the lock is lost or Consul
// cannot be asked. It trusts a lock until the last sign of life that Consul took
// from it is too old, whatever the clock on the wall says. A step that had begun by then
// is carried through: that two scalers act in a zone for a moment costs sessions
// that are made and taken down again, and nothing else, since what must not
// happen twice is decided by fate records.
//
// It vouches for what Redis says of its zones, every second, once it has set that
// right; by its word alone do brokers believe Redis (see trust.go).
//
// It promises never to act on what it could not observe: until each source has
// been read whole, and again from the moment one fails until it has been read
// anew, there are no plans. It never stops a claimed or assigned session to
// shrink a pool: a retirement is refused by Redis and decided by the fate record
// in Consul, and the job is stopped only after both agreed. Steps are bounded in
// number and at most one is under way for a session. When a step fails, its
// session is looked at again a little later; a lost event costs a delay until
// the next full reading, never a session.
package scaler
