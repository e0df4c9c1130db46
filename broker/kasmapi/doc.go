// Package kasmapi is the developer API that clients of Kasm speak, as far as greenroom has a
// counterpart for it: scripts, portals and monitoring written for it launch here.
//
// It is a translation and nothing more. Each request becomes calls of the broker's own API (see
// broker/httpapi), in its caller's name, within this process. So roles, scopes, rates, locks and
// audit records are those of that API, and nobody reaches more by this one. The facts about the
// translated API are from its public documentation.
//
// It promises:
//   - It stores nothing. Ids are made from ours, and lead back to them (see ids.go).
//   - What has no counterpart is refused with an error_message that names it, never ignored:
//     a verb, or a field with any other value than null, false, 0 or an empty one.
//   - No secret of a request is logged, or shown in an answer.
//
// A request passes these files in turn: handler.go (which verb?), fields.go (what does the body
// ask for?), then the verb in sessions.go, commands.go, resources.go, staging_configs.go or users.go, whose calls
// calls.go makes; kasm.go is the shape of its answers.
package kasmapi
