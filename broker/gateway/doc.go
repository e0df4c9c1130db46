// Package gateway routes users' requests to their sessions: HTTP and WebSocket, by the
// request's host name or by its path.
//
// It promises:
//   - Only the holder of a session's link gets to the session. The link has a code that counts
//     once, within CodeLife. It becomes a cookie of that one session, and a redirect removes it
//     from the address.
//   - Access ends with the session. Requests and WebSockets that are open then are closed.
//   - Sessions that a gateway knows go on while Redis, Consul and Nomad are away.
//   - A gateway holds no state that another one would miss: any number may run.
//   - Bodies and WebSockets are streamed. What is open at once is bounded, in all and for a
//     session, so that slow or hostile clients and sessions cost only themselves.
//
// A request passes these files in turn: site.go (which session?), origin.go (from whose page?),
// seal.go (by whose right?), table.go (where is the session?), proxy.go and stream.go. open.go
// exchanges codes for cookies; links.go makes links for brokers; follow.go keeps the table.
//
// While Redis does not answer, codes are counted in the memory of each gateway, so that users
// can open what they launch: a code could then be used once at each gateway within its minute.
package gateway
