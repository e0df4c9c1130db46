// Package broker joins the rooms of a broker, the program that hands sessions to users.
//
//	broker/launch    claims a session, has its fate decided in Consul, runs the assign hook
//	broker/sessions  reads, lists, authorizes, keeps alive and ends sessions
//	broker/gateway   routes users' requests and WebSockets to their sessions
//	broker/events    reads what happens, once for all who wait for it
//	broker/admin     stores zones, images, groups, staging configs and tokens by the rules
//	broker/audit     records changes and denied calls
//	broker/status    answers whether all is well, with the pools' numbers and histories
//	broker/armed     keeps shells open in the sessions that are claimed next
//	broker/httpapi   is the HTTP edge, broker/web the pages in a browser
//	broker/kasmapi   translates the API that clients of Kasm speak into calls of ours
//
// Below them all are broker/refusal (errors that callers can act on), broker/deadline (how
// long a call to a server may take) and broker/background (work that no answer waits for).
//
// Where things are added: a new reason to skip a staged session in
// broker/launch/candidates.go; a new condition of a pool in scaler/conditions.go and in the
// list of broker/httpapi/openapi.yaml, followed by `make generate`; a new kind of resource
// in broker/admin/kinds.go; a new refusal in broker/refusal, with its HTTP status in
// broker/httpapi/codes.go.
//
// A broker promises to hold no state that another broker would miss: any number may run.
// What it does at once is bounded. Past a bound a call is refused at once, with nothing
// claimed, except that a launch first waits up to launch.Bounds.HookWait to run its hooks,
// and in a bounded queue for its turn to make a session on demand.
// What each room promises is in its own package comment.
package broker
