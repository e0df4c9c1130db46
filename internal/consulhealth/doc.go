// Package consulhealth reads from Consul's catalog which sessions are healthy. It
// registers nothing.
//
// It promises to return Consul's latest data and no assumption of its own: a session is
// passing if all checks of its instance, and of the Consul node that it is on, pass.
// Watches are blocking queries with a pause between two, so that a flapping pool costs a
// bounded number of reads. If Consul does not answer, a watch returns an error; its caller
// must then treat what it has as stale.
package consulhealth
