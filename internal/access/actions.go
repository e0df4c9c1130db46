package access

import "cmp"

// actions say what a person does with an operation, for refusals.
var actions = map[string]string{
	"createSession":        "launching a session",
	"listLaunchable":       "listing what can be launched",
	"listSessions":         "listing sessions",
	"getSession":           "reading a session",
	"getSessionLogs":       "reading a session's log",
	"endSession":           "ending a session",
	"keepSessionAlive":     "keeping a session alive",
	"extendSession":        "extending a session",
	"linkSession":          "making a link to a session",
	"runInSession":         "running a command in a session",
	"streamEvents":         "following the events",
	"getStatus":            "reading the status",
	"listStaging":          "listing staging configs",
	"getStaging":           "reading a staging config",
	"getHistory":           "reading a pool's history",
	"putStaging":           "changing a staging config",
	"deleteStaging":        "deleting a staging config",
	"recycleStaging":       "replacing a pool's sessions",
	"retryStaging":         "trying a failing pool again",
	"listPauses":           "listing what is paused",
	"pausePools":           "pausing pools",
	"resumePools":          "resuming pools",
	"listZones":            "listing zones",
	"getZone":              "reading a zone",
	"putZone":              "changing a zone",
	"deleteZone":           "deleting a zone",
	"listImages":           "listing images",
	"getImage":             "reading an image",
	"putImage":             "changing an image",
	"deleteImage":          "deleting an image",
	"listGroups":           "listing groups",
	"getGroup":             "reading a group",
	"putGroup":             "changing a group",
	"deleteGroup":          "deleting a group",
	"checkResources":       "checking resources before a change",
	"getInstallation":      "reading the installation's identity",
	"takeOverInstallation": "taking over another installation's sessions",
	"rotateSecrets":        "replacing the keys that sign tokens",
	"listWebhooks":         "listing webhooks",
	"getWebhook":           "reading a webhook",
	"putWebhook":           "changing a webhook",
	"deleteWebhook":        "deleting a webhook",
	"getWebhookDeliveries": "reading how far a webhook's deliveries are",
	"listDeadLetters":      "listing a webhook's dead letters",
	"replayDeadLetters":    "sending a webhook's dead letters again",
	"testWebhook":          "testing a webhook",
	"listTokens":           "listing tokens",
	"createToken":          "creating a token",
	"revokeToken":          "revoking a token",
	"rotateToken":          "giving a token a new secret",
	"listLockedUsers":      "listing locked users",
	"lockUser":             "locking a user",
	"unlockUser":           "unlocking a user",
	"getSelf":              "reading who one is",
	"bootstrap":            "creating the first administrator's token",
}

// ActionOf returns what a person does with an operation, such as "changing a staging config".
func ActionOf(operation string) string { return cmp.Or(Action(operation), "this call") }

// Action is ActionOf; "" for an operation without words of its own.
func Action(operation string) string { return actions[operation] }
