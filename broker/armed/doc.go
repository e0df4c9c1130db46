// Package armed keeps shells open in the sessions that launches claim next, so that an
// assign hook starts without the round trips that open one.
//
// It promises that at most the bounded number of shells is open, each of which holds a
// connection to Nomad, and that leases in Redis decide which broker keeps a shell in which
// session. A session without a shell works as well: its hook opens one. While Redis does
// not answer, the open shells stay until their leases are over.
package armed
