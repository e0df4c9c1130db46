package access

import "slices"

// Rule says who may call one operation.
type Rule struct {
	// Open needs no token of the broker's.
	Open bool
	// Roles are those that may; a role that is not among them may not.
	Roles []Role
}

// Allows reports whether a role may.
func (r Rule) Allows(role Role) bool { return r.Open || slices.Contains(r.Roles, role) }

// Needs says in words which role is needed.
func (r Rule) Needs() string { return inWords(r.Roles) }

var (
	open      = Rule{Open: true}
	everybody = Rule{Roles: []Role{Admin, Launcher, Viewer, User}}
	// A user has only its own sessions: see Caller.Owns.
	launches = Rule{Roles: []Role{Admin, Launcher, User}}
	reads    = Rule{Roles: []Role{Admin, Launcher, Viewer}}
	admins   = Rule{Roles: []Role{Admin}}
)

// rules is the whole of who may call what, by the operationId of openapi.yaml.
// An operation that is not in here is the administrators' alone.
var rules = map[string]Rule{
	"createSession":    launches,
	"listSessions":     everybody,
	"getSession":       everybody,
	"endSession":       launches,
	"keepSessionAlive": launches,
	// What a proxy asks with its user's headers: it shows the session's own token.
	"authorizeSession": open,

	// A user's token is not for it: it tells of everybody.
	"streamEvents": reads,
	"getStatus":    reads,

	"listStaging":   reads,
	"getStaging":    reads,
	"getHistory":    reads,
	"putStaging":    admins,
	"deleteStaging": admins,
	"listZones":     reads,
	"getZone":       reads,
	"putZone":       admins,
	"deleteZone":    admins,
	"listImages":    reads,
	"getImage":      reads,
	"putImage":      admins,
	"deleteImage":   admins,
	"listGroups":    reads,
	"getGroup":      reads,
	"putGroup":      admins,
	"deleteGroup":   admins,
	// It stores nothing, and lets the servers work on what it is given.
	"checkResources": admins,

	"listTokens":  admins,
	"createToken": admins,
	"revokeToken": admins,
	// Whoever has a token may log in with it, and out again. Every role may ask who it is.
	"login":   open,
	"logout":  open,
	"getSelf": everybody,
	// It works once. Where an administrator has a token already, Guard closes it.
	"bootstrap": open,

	// A browser that reads the contract has no token to show.
	"getOpenAPI": open,
	"getDocs":    open,
	"getLive":    open,
	"getReady":   open,
	"getMetrics": open,
}

// RuleFor gives an operation's rule.
func RuleFor(operation string) Rule {
	if r, ok := rules[operation]; ok {
		return r
	}
	return admins
}

// Signed is the rule of what is no operation of the API: whoever shows a right
// token may hear that it is not there.
var Signed = everybody

// Admins is the rule of what only administrators may.
var Admins = admins

// Known reports whether the table has an operation.
func Known(operation string) bool {
	_, ok := rules[operation]
	return ok
}
