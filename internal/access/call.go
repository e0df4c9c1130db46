package access

import "context"

// Call is one call of the API, as auditors know it.
type Call struct {
	Caller Caller
	// Operation is the API's operationId, or a method and path where there is none.
	Operation string
	// Remote is the caller's address, RequestID the request's.
	Remote, RequestID string
}

type callKey struct{}

// In returns a context that carries the call.
func (c Call) In(ctx context.Context) context.Context { return context.WithValue(ctx, callKey{}, c) }

// CallOf gives the call that a context carries; without one it is nobody's.
func CallOf(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}
