// Package peers calls the brokers of other regions: it launches there for launches of this
// region, and passes on what callers ask of the sessions that they were given so.
//
// It promises:
//
//   - A peer that does not answer costs the launches that are at it when that begins, and no
//     other: probes find it out within seconds, and again when it answers.
//   - A refusal is a *launch.PeerRefusal only where it is known that the peer gave nothing.
//   - Tokens are sent to the address in the configuration alone, and are in no error and no log.
package peers
