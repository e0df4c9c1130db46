// Package loadgen sends a load and measures how it is answered. What a request
// is, its caller says: a function that does one and names the class of outcome
// that it had.
//
// There are three loads. Closed has a fixed number of clients, each of which sends
// its next request once the last one is answered. Open has arrivals at random
// moments of their own, as users have, whether or not the earlier ones are
// answered. Burst is many at once.
//
// It promises:
//   - Every request that was due is in exactly one class of the result. One that an
//     open load could not send, because too many were unanswered, is in NotSent.
//   - An open load's latency counts from the moment at which the request was meant to
//     start, not from when a client was free for it: a server that stalls is charged
//     with everybody whom it kept waiting (no coordinated omission). A closed load's
//     clients wait with the server, which is what that load means, and what its
//     latencies leave out.
//   - Each request of a run has a number of its own, from 0 without gaps, and the same
//     seed gives the same arrivals.
//   - Run returns once everything that it started has ended. When its context ends it
//     sends no more, and waits for those that are under way.
//
// It trusts the function to end: a deadline for each request is the function's to set.
package loadgen
