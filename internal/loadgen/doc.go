// Package loadgen sends a load of requests and measures outcomes and latencies. The
// caller provides a function that sends one request and returns the class of its
// outcome.
//
// There are three kinds of load. A closed load has a fixed number of clients, and each
// sends its next request after the answer to the last one. In an open load requests
// arrive at random times, as those of users do, independently of earlier answers. A
// burst sends many requests at once.
//
// It promises:
//   - Every due request is in exactly one class of the result. A request that an open
//     load cannot send, because too many are unanswered, is in NotSent.
//   - In an open load, latency counts from the intended start of a request and not
//     from the time when a client became free, so that a stalled server is charged for
//     every request that had to wait (no coordinated omission). In a closed load the
//     clients wait for the server, and latencies do not include that wait.
//   - Requests of a run are numbered from 0 without gaps, and equal seeds produce equal
//     arrivals.
//   - Run returns after everything that it started has ended. When its context ends, it
//     sends no more requests and waits for those in flight.
//
// The function must return by itself: it sets the deadline of its request.
package loadgen
