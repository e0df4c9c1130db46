// Package broker hands sessions to users: it claims a staged session, has its
// fate decided in Consul, runs the assign hook in it, and falls back to an
// on-demand session.
//
// It promises that a session it answers with is, for ever, that one user's:
// the fate record existed before the first byte of the hook was sent, and was
// finished before the caller heard of the session. It trusts the compare-and-set
// in Consul alone; Redis is believed only about which session to try. Once a
// session has been claimed, a caller that hangs up does not stop the launch: it
// is carried to its end under its own deadline. When a hook's outcome cannot be
// known, or Consul's answer is lost, the session is destroyed, not reused.
//
// It holds no state that another broker would miss: any number may run.
package broker
