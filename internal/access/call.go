package access

import "context"

// Call is one call of the API, as audit events describe it.
type Call struct {
	Caller Caller
	// Operation is the API's operationId, or the method and path if it has none.
	Operation string
	// Remote is the caller's address, RequestID the request's id.
	Remote, RequestID string
}

type callKey struct{}

// In returns a context that carries the call.
func (c Call) In(ctx context.Context) context.Context { return context.WithValue(ctx, callKey{}, c) }

// CallOf returns the call that a context carries, or the zero Call, whose caller is nobody.
func CallOf(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}
