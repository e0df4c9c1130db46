// Package httpapi is the broker's HTTP edge: openapi.yaml is its contract,
// written by hand, and the server's and the client's code is generated from it.
//
// It promises that nothing reaches the broker that the contract does not allow:
// a body is held to its schema, names of fields exactly, before it is decoded,
// and whatever is refused is named by its path. Every answer that is not a
// success is a problem document with a stable code, those to unknown paths,
// wrong methods and panics too; causes go to the log and never to the caller.
// It trusts the broker to check values and to bound its own calls, and passes
// it contexts that a client's hanging up cannot cancel where work has begun.
//
// Requests under way and connections are bounded: what is past the bound is refused
// at once, and of idle connections the oldest are closed. Health and metrics are
// answered whatever else goes on.
//
// Of gin nothing leaves this package.
package httpapi

//go:generate go tool -modfile=oapi-codegen.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml
