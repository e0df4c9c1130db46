package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// eventFilter is what a client asks for of the events: those that fit all of it.
type eventFilter struct {
	// types are the types to send; none for all.
	types []staging.EventType
	// The others are "" for all.
	session, staging, user, zone string
}

// eventFilterOf reads the filter of a request. It is an error if it asks for what the caller
// may never see: nothing would come, and that would look like nothing had happened.
func eventFilterOf(c *gin.Context) (f eventFilter, err error) {
	f = eventFilter{session: c.Query("session"), staging: c.Query("staging"), user: c.Query("user"), zone: c.Query("zone")}
	if types := c.Query("type"); types != "" {
		for t := range strings.SplitSeq(types, ",") {
			f.types = append(f.types, staging.EventType(t))
		}
	}
	for _, t := range f.types {
		if !slices.Contains(staging.EventTypes, t) {
			return f, refuseParameter(CodeInvalidParameter, "type", fmt.Sprintf("must be types of events, with commas between: %q is none; they are %s", t, staging.Joined(staging.EventTypes)))
		}
	}
	who := callerOf(c.Request.Context())
	switch {
	case !slices.Contains(f.types, staging.EventAudit):
	case !access.Admins.Allows(who.Role):
		return f, refuse(CodeRoleNeeded, "to see events of the type %s needs the role %s; this token has %s", staging.EventAudit, access.Admins.Needs(), who.Role)
	case !access.Admins.Reaches(who.Scope):
		return f, refuse(Code(refusal.Forbidden), "events of the type %s are about all of the installation; this token's scope is %s", staging.EventAudit, who.Scope)
	}
	return f, nil
}

// wants reports whether an event fits the filter.
func (f eventFilter) wants(e staging.Event) bool {
	fits := func(wanted, value string) bool { return wanted == "" || wanted == value }
	return (len(f.types) == 0 || slices.Contains(f.types, e.Type)) &&
		fits(f.session, e.Session) && fits(f.staging, e.Pool) && fits(f.user, e.User) && fits(f.zone, e.Zone)
}
