// Package sessions reads, lists, authorizes, keeps alive and ends sessions.
//
// It promises that a session is shown as assigned from the answer of its launch on, also
// before Redis has it: the fate record in Consul counts. A session is ended in three steps,
// which the scaler and the launches respect: Redis first, then, for an unused session, the
// fate record, then Nomad. The end of a session that is being assigned is refused as busy.
//
// While Redis does not answer, a user's session is read and authorized by its fate record
// and its job, cached for a second, and its keepalives wait in memory.
//
// Errors are a *refusal.Error.
package sessions
