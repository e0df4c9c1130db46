package httpapi

import (
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// own sets a launch's user to the owner of a user's own token. Callers with another role
// name the user.
func own(c access.Caller, l staging.Launch) (staging.Launch, error) {
	if c.Role != access.User {
		if l.User.ID == "" {
			return l, staging.Invalid("launch", "user.id", "must not be empty: only a user's own token says who it is")
		}
		return l, nil
	}
	theirs := func(field, message string) (staging.Launch, error) { return l, notForUsers(field, message) }
	switch {
	case l.User.ID != "" && l.User.ID != c.Subject:
		return theirs("user.id", "is another's: this token launches for its own user alone; leave it out")
	case l.User.Name != "" && l.User.Name != c.UserName:
		// It reaches hooks, Consul and the header that proxies pass on.
		return theirs("user.name", "is not this token's: leave it out")
	case len(l.Groups) > 0:
		return l, groupsOfToken()
	case len(l.Environment) > 0:
		// It reaches hooks, whatever the user's groups expose.
		return theirs("environment", "is for launchers to set: send user_environment, which a group may expose")
	}
	l.User, l.Groups = staging.User{ID: c.Subject, Name: c.UserName}, c.Groups
	return l, nil
}

// notForUsers refuses a field that a user's own token may not set.
func notForUsers(field, message string) *problemError {
	return refuseParameter(Code(refusal.Forbidden), field, message)
}

// groupsOfToken refuses groups beside a user's own token, which says what they are.
func groupsOfToken() *problemError {
	return notForUsers("groups", "are the token's: leave them out")
}

// notTheirs refuses a session that the caller may not see, in the same words as for a session that does
// not exist.
func notTheirs(id string) *problemError {
	return &problemError{code: Code(refusal.NotFound), denied: true, detail: `there is no session "` + id + `", or it ended a while ago`}
}
