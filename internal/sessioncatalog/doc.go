// Package sessioncatalog shows in Consul's catalog whose each assigned session is, for
// people and programs that look at Consul alone: one instance of the service
// greenroom-sessions per session, with its user, its address and a check.
//
// Nomad registers the session's own service, and only a new registration of its job could
// change that one. A claimed session's job is never registered again, so the user stands
// in an instance of greenroom's own. The instances are on a node of our own in the
// catalog, which no Consul agent has (the external-service pattern), because an agent
// removes from its node whatever it did not register itself.
//
// It promises that an entry has one writer, the scaler that acts in the session's zone;
// that an entry which is missing or differs is written again, and one of a session that is
// not assigned any more is removed, whatever happened to the scaler or to Consul meanwhile;
// that entries are written in batches; that a node of this name which is not ours is never
// changed; and that nothing waits for Consul here except the goroutine of Run.
package sessioncatalog
