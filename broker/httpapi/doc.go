// Package httpapi is the broker's HTTP edge: openapi.yaml is its contract,
// written by hand, and the server's and the client's code is generated from it.
//
// It promises that nothing reaches the broker that the contract does not allow: a body is
// checked against its schema, with the exact names of its fields, before it is decoded, and
// a refusal names the path of every field that is wrong. Every answer that is not a success
// is a problem document with a stable code, also for unknown paths, wrong methods and
// panics; causes go to the log and never to the caller. It relies on the broker to check
// values and to bound its own calls, and passes it contexts that a client which hangs up
// cannot cancel once work has begun.
//
// Requests under way and connections are bounded: a request past the bound is refused at
// once, and the oldest idle connections are closed. Health and metrics are always answered.
//
// Nothing of gin leaves this package.
package httpapi

//go:generate go tool -modfile=oapi-codegen.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml
