package access

import "slices"

// Rule says which callers may call an operation.
type Rule struct {
	// Open lets every caller call it, without a token.
	Open bool
	// Roles are the roles that may call it.
	Roles []Role
	// Scoped lets callers with a scope call it: what they reach by it is held to the scope.
	// Any other operation reaches all of the installation.
	Scoped bool
}

// Reaches reports whether a caller with a scope may call the operation.
func (r Rule) Reaches(s Scope) bool { return r.Open || r.Scoped || s.IsZero() }

// Allows reports whether a role may call the operation.
func (r Rule) Allows(role Role) bool { return r.Open || slices.Contains(r.Roles, role) }

// Needs returns the roles that may call the operation, such as "admin or launcher".
func (r Rule) Needs() string { return joinRoles(r.Roles) }

var (
	openRule = Rule{Open: true}
	anyRole  = Rule{Roles: []Role{Admin, Launcher, Viewer, User}, Scoped: true}
	// A caller with the role User may use only its own sessions, see Caller.Owns.
	launcherRule = Rule{Roles: []Role{Admin, Launcher, User}, Scoped: true}
	readerRule   = Rule{Roles: []Role{Admin, Launcher, Viewer}, Scoped: true}
	// An administrator with a scope changes what is within, see Scope, and reads its logs.
	changeRule = Rule{Roles: []Role{Admin}, Scoped: true}
	// What reaches all of the installation is closed to an administrator with a scope.
	adminRule = Rule{Roles: []Role{Admin}}
)

// rules has the rule of every operation, with the operationId of openapi.yaml as key. Only
// administrators without a scope may call an operation that is not in it.
var rules = map[string]Rule{
	"createSession":  launcherRule,
	"listLaunchable": launcherRule,
	"listSessions":   anyRole,
	"getSession":     anyRole,
	// What a session writes may hold secrets of its user.
	"getSessionLogs": changeRule,
	// Whoever runs a command in a session can do there whatever its user can.
	"runInSession":     changeRule,
	"endSession":       launcherRule,
	"keepSessionAlive": launcherRule,
	"extendSession":    launcherRule,
	"linkSession":      launcherRule,
	// A proxy calls it with its user's headers. They contain the session's own token.
	"authorizeSession": openRule,

	// Not for the role User: both show the sessions of all users.
	"streamEvents": readerRule,
	"getStatus":    readerRule,

	"listStaging":   readerRule,
	"getStaging":    readerRule,
	"getHistory":    readerRule,
	"putStaging":    changeRule,
	"deleteStaging": changeRule,
	// A caller with a scope pauses single pools alone.
	"recycleStaging": changeRule,
	"retryStaging":   changeRule,
	"listPauses":     readerRule,
	"pausePools":     changeRule,
	"resumePools":    changeRule,
	"listZones":      readerRule,
	"getZone":        readerRule,
	"putZone":        changeRule,
	"deleteZone":     changeRule,
	"listImages":     readerRule,
	"getImage":       readerRule,
	"putImage":       changeRule,
	"deleteImage":    changeRule,
	"listGroups":     readerRule,
	"getGroup":       readerRule,
	"putGroup":       changeRule,
	"deleteGroup":    changeRule,
	// It stores nothing, but makes the servers parse and validate its input.
	"checkResources": changeRule,

	"getInstallation":      readerRule,
	"takeOverInstallation": adminRule,

	"rotateSecrets": adminRule,

	// A webhook is sent the events of all of the installation, to wherever its URL says.
	"listWebhooks":         adminRule,
	"getWebhook":           adminRule,
	"putWebhook":           adminRule,
	"deleteWebhook":        adminRule,
	"getWebhookDeliveries": adminRule,
	"listDeadLetters":      adminRule,
	"replayDeadLetters":    adminRule,
	"testWebhook":          adminRule,

	"listTokens":  changeRule,
	"createToken": changeRule,
	"revokeToken": changeRule,
	"rotateToken": changeRule,

	"listLockedUsers": adminRule,
	"lockUser":        adminRule,
	"unlockUser":      adminRule,
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

// Admins is the rule that allows only administrators who reach all of the installation.
var Admins = adminRule

// Known reports whether the table contains an operation.
func Known(operation string) bool {
	_, ok := rules[operation]
	return ok
}
