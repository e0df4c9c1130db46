// Package consulhealth reads from Consul's catalog which sessions are healthy.
//
// It promises to report what Consul last said and nothing of its own: a session
// is passing when every check of its instance, and of the Consul node that it is
// on, passes. Watches are blocking queries with a pause between two, so that a
// flapping pool costs a bounded number of reads. When Consul does not answer,
// the watch returns an error and its caller knows that it knows nothing.
package consulhealth
