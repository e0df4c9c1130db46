package access

import "slices"

// Rule says which callers may call an operation.
type Rule struct {
	// Open lets every caller call it, without a token.
	Open bool
	// Roles are the roles that may call it.
	Roles []Role
}

// Allows reports whether a role may call the operation.
func (r Rule) Allows(role Role) bool { return r.Open || slices.Contains(r.Roles, role) }

// Needs returns the roles that may call the operation, such as "admin or launcher".
func (r Rule) Needs() string { return joinRoles(r.Roles) }

var (
	openRule = Rule{Open: true}
	anyRole  = Rule{Roles: []Role{Admin, Launcher, Viewer, User}}
	// A caller with the role User may use only its own sessions, see Caller.Owns.
	launcherRule = Rule{Roles: []Role{Admin, Launcher, User}}
	readerRule   = Rule{Roles: []Role{Admin, Launcher, Viewer}}
	adminRule    = Rule{Roles: []Role{Admin}}
)

// rules has the rule of every operation, with the operationId of openapi.yaml as key. Only
// administrators may call an operation that is not in it.
var rules = map[string]Rule{
	"createSession":    launcherRule,
	"listSessions":     anyRole,
	"getSession":       anyRole,
	"endSession":       launcherRule,
	"keepSessionAlive": launcherRule,
	// A proxy calls it with its user's headers. They contain the session's own token.
	"authorizeSession": openRule,

	// Not for the role User: both show the sessions of all users.
	"streamEvents": readerRule,
	"getStatus":    readerRule,

	"listStaging":   readerRule,
	"getStaging":    readerRule,
	"getHistory":    readerRule,
	"putStaging":    adminRule,
	"deleteStaging": adminRule,
	"listZones":     readerRule,
	"getZone":       readerRule,
	"putZone":       adminRule,
	"deleteZone":    adminRule,
	"listImages":    readerRule,
	"getImage":      readerRule,
	"putImage":      adminRule,
	"deleteImage":   adminRule,
	"listGroups":    readerRule,
	"getGroup":      readerRule,
	"putGroup":      adminRule,
	"deleteGroup":   adminRule,
	// It stores nothing, but makes the servers parse and validate its input.
	"checkResources": adminRule,

	"getInstallation":      readerRule,
	"takeOverInstallation": adminRule,

	"rotateSecrets": adminRule,

	"listTokens":  adminRule,
	"createToken": adminRule,
	"revokeToken": adminRule,
	// A login checks the token that it is given. Every role may read its own identity.
	"login":    openRule,
	"logout":   openRule,
	"getLogin": openRule,
	// A browser that logs in with the provider has no token yet.
	"beginLogin":  openRule,
	"finishLogin": openRule,
	"getSelf":     anyRole,
	// It works once. Guard.Rule closes it if there is another administrator.
	"bootstrap": openRule,

	// A browser that reads the contract sends no token, and neither do probes.
	"getOpenAPI": openRule,
	"getDocs":    openRule,
	"getLive":    openRule,
	"getReady":   openRule,
	"getMetrics": openRule,
}

// RuleFor returns an operation's rule.
func RuleFor(operation string) Rule {
	if r, ok := rules[operation]; ok {
		return r
	}
	return adminRule
}

// Signed is the rule for a request that is no operation of the API: every caller with a
// valid token may learn that it does not exist.
var Signed = anyRole

// Admins is the rule that allows only administrators.
var Admins = adminRule

// Known reports whether the table contains an operation.
func Known(operation string) bool {
	_, ok := rules[operation]
	return ok
}
