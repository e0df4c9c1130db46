// Package broker hands sessions to users: it claims a staged session, has its
// fate decided in Consul, runs the assign hook in it, and falls back to other
// zones and to sessions made on demand.
//
// It promises that a launch goes down one list (staged in the zone, staged in its
// alternate zones, on demand in the zone, on demand there) and says of each step why
// it did not serve; and that a setting which a staged session cannot honour is
// never left out: the session is made on demand with it.
//
// It promises that a session it answers with is, for ever, that one user's:
// the fate record existed before the first byte of the hook was sent, and was
// finished before the caller heard of the session. It trusts the compare-and-set
// in Consul alone; Redis is believed only about which session to try. Once a
// session has been claimed, a caller that hangs up does not stop the launch: it
// is carried to its end under its own deadline. When a hook's outcome cannot be
// known, or Consul's answer is lost, the session is destroyed, not reused.
//
// A launch for several sessions is one launch: they are claimed, decided and finished
// in one step each, all of them or none, and those whose claim came to nothing before a
// fate was recorded of any of them are unused, and go back to their pools.
//
// What it does at once is bounded; past a bound a launch is refused at once, with
// nothing claimed.
//
// It holds no state that another broker would miss: any number may run.
package broker
