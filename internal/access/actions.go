package access

// actions say what a person does with an operation, for refusals.
var actions = map[string]string{
	"createSession":        "launching a session",
	"listSessions":         "listing sessions",
	"getSession":           "reading a session",
	"getSessionLogs":       "reading a session's log",
	"endSession":           "ending a session",
	"keepSessionAlive":     "keeping a session alive",
	"linkSession":          "making a link to a session",
	"streamEvents":         "following the events",
	"getStatus":            "reading the status",
	"listStaging":          "listing staging configs",
	"getStaging":           "reading a staging config",
	"getHistory":           "reading a pool's history",
	"putStaging":           "changing a staging config",
	"deleteStaging":        "deleting a staging config",
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
func ActionOf(operation string) string {
	if text, ok := actions[operation]; ok {
		return text
	}
	return "this call"
}
