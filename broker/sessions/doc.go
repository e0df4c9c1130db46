// Package sessions reads, lists, authorizes, keeps alive and ends sessions.
//
// It promises that a session whose launch was answered is shown as assigned, also while
// Redis has not been told yet: the fate record in Consul counts. It ends a session only by
// the steps that the scaler and the launches respect: Redis first, then, for an unused
// session, the fate record, then Nomad. A session that is being assigned is refused as busy.
//
// Errors are a *refusal.Error.
package sessions
