package kasmapi

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// greenroom keeps no users: whoever a launch names is one. So every user that has an id exists here,
// and the lists are of those who have sessions now.

// user is a user, as this API shows it.
type user struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
	// Realm, Groups and the rest are of the identity provider, which alone knows them.
	Realm     string     `json:"realm"`
	FirstName *string    `json:"first_name"`
	LastName  *string    `json:"last_name"`
	Groups    []struct{} `json:"groups"`
	// LastSession is when the user's newest session began that there is.
	LastSession any    `json:"last_session"`
	Kasms       []kasm `json:"kasms"`
}

func userOf(name string, kasms []kasm) user {
	u := user{UserID: userID(name).String(), Username: name, Realm: "greenroom", Groups: []struct{}{}, Kasms: kasms}
	for _, k := range kasms {
		if at, ok := k.StartDate.(string); ok && (u.LastSession == nil || at > u.LastSession.(string)) {
			u.LastSession = at
		}
	}
	return u
}

// userNamed returns the user that an id means. One whose name the id does not hold is looked for
// among those who have sessions.
func (c *call) userNamed(id uuid, field string) (string, error) {
	name, known, ours := userIn(id)
	if known {
		return name, nil
	}
	if ours {
		kasms, err := c.kasms("")
		if err != nil {
			return "", err
		}
		for _, k := range kasms {
			if k.UserID == id.String() {
				return k.User.Username, nil
			}
		}
	}
	return "", refuse(http.StatusNotFound, "%s is of no user who has a session; one with a name of more than %d characters, or others than %s, is known here only as long as that", field, maxHeld, alphabet)
}

// userCalled returns the user whom a name means: the one with this id, else the one whose launches
// gave this name, and has sessions; else the name is the id of one who has none.
func (c *call) userCalled(name string) (string, error) {
	kasms, err := c.kasms("")
	if err != nil {
		return "", err
	}
	found := ""
	several := false
	for _, k := range kasms {
		switch id := k.User.Username; {
		case id == name:
			return name, nil
		case k.userName == name && found != "" && found != id:
			several = true
		case k.userName == name:
			found = id
		}
	}
	if several {
		return "", refuse(http.StatusConflict, "target_user.username is the name of several users: send target_user.user_id, which get_users has")
	}
	return cmp.Or(found, name), nil
}

// targetUser reads the fields that name a user: an id, or a name.
func targetUser(f *fields) func(c *call) (string, error) {
	of := f.object("target_user")
	id, hasID := of.id("user_id")
	name := of.text("username")
	if !hasID && name == "" {
		of.fail("user_id", "must be sent, or username")
	}
	return func(c *call) (string, error) {
		if !hasID {
			return c.userCalled(name)
		}
		byID, err := c.userNamed(id, "target_user.user_id")
		if err == nil && name != "" && name != byID {
			return "", refuse(http.StatusConflict, "target_user.username is not that of target_user.user_id: send one of them")
		}
		return byID, err
	}
}

// getUser shows a user with the sessions that the user has.
func getUser(c *call, f *fields) (any, error) {
	named := targetUser(f)
	if err := f.end(); err != nil {
		return nil, err
	}
	name, err := named(c)
	if err != nil {
		return nil, err
	}
	kasms, err := c.kasms(name)
	return map[string]any{"user": userOf(name, kasms)}, err
}

// getUsers lists the users who have sessions.
func getUsers(c *call, f *fields) (any, error) {
	if err := f.end(); err != nil {
		return nil, err
	}
	kasms, err := c.kasms("")
	var names []string
	theirs := map[string][]kasm{}
	for _, k := range kasms {
		name := k.User.Username
		if len(theirs[name]) == 0 {
			names = append(names, name)
		}
		theirs[name] = append(theirs[name], k)
	}
	users := []user{}
	for _, name := range names {
		users = append(users, userOf(name, theirs[name]))
	}
	return map[string]any{"users": users}, err
}

// createUser answers with the id that a user has here, and stores nothing.
func createUser(c *call, f *fields) (any, error) {
	of := f.object("target_user")
	name := of.text("username")
	if name == "" {
		of.fail("username", "must be sent")
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	var self httpapi.Self
	if err := c.do(http.MethodGet, "/v1/self", nil, &self); err != nil {
		return nil, err
	}
	if !access.RuleFor("createSession").Allows(self.Role) {
		return nil, refuse(http.StatusForbidden, "create_user needs the role %s; this token has %s", access.RuleFor("createSession").Needs(), self.Role)
	}
	// What a launch for this user would be refused for is refused now.
	l := staging.Launch{Image: "image", Zone: "zone", User: staging.User{ID: name, Name: name}}
	if invalid, ok := errors.AsType[*staging.InvalidError](l.Validate()); ok {
		return nil, refuse(http.StatusUnprocessableEntity, "target_user.username %s", invalid.Fields[0].Message)
	}
	if _, known, _ := userIn(userID(name)); !known {
		return nil, refuse(http.StatusUnprocessableEntity, "target_user.username must have at most %d characters of %s: its id must hold it, because greenroom keeps no users", maxHeld, alphabet)
	}
	return map[string]any{"user": userOf(name, []kasm{})}, nil
}

// deleteUser ends the sessions of a user, of whom nothing else is kept.
func deleteUser(c *call, f *fields) (any, error) {
	named, force := targetUser(f), f.flag("force")
	if err := f.end(); err != nil {
		return nil, err
	}
	name, err := named(c)
	if err != nil {
		return nil, err
	}
	kasms, err := c.kasms(name)
	if err != nil {
		return nil, err
	}
	if len(kasms) > 0 && (force == nil || !*force) {
		return nil, refuse(http.StatusConflict, "the user has %d sessions: destroy them first, or send force", len(kasms))
	}
	for _, k := range kasms {
		id, _ := parseUUID(k.KasmID)
		if err := c.do(http.MethodDelete, "/v1/sessions/"+id.session(), nil, nil); err != nil && !isRefused(err, http.StatusNotFound) {
			return nil, err
		}
	}
	return struct{}{}, nil
}
