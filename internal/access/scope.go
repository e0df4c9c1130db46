package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Scope is the part of an installation that a token reaches. What is empty does not bound:
// the zero Scope reaches everything. Names of what is not stored yet are allowed.
type Scope struct {
	// Images, Zones and Groups are names.
	Images []string `json:"images,omitempty"`
	Zones  []string `json:"zones,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// UserPrefix begins the ids of the users that the token may act for.
	UserPrefix string `json:"user_prefix,omitempty"`
}

// MaxScopeNames bounds each of a scope's lists.
const MaxScopeNames = 100

// IsZero reports whether the scope reaches everything.
func (s Scope) IsZero() bool {
	return len(s.Images) == 0 && len(s.Zones) == 0 && len(s.Groups) == 0 && s.UserPrefix == ""
}

// AllowsImage reports whether the scope reaches the image of a name.
func (s Scope) AllowsImage(name string) bool { return reaches(s.Images, name) }

// AllowsZone reports whether the scope reaches the zone of a name.
func (s Scope) AllowsZone(name string) bool { return reaches(s.Zones, name) }

// AllowsGroup reports whether the scope reaches the group of a name.
func (s Scope) AllowsGroup(name string) bool { return reaches(s.Groups, name) }

// AllowsUser reports whether the scope reaches the user of an id. "" is nobody, whom only a
// scope without a prefix reaches.
func (s Scope) AllowsUser(id string) bool { return strings.HasPrefix(id, s.UserPrefix) }

// AllowsPool reports whether the scope reaches the pool of a staging config: its zone and its
// image.
func (s Scope) AllowsPool(c staging.Config) bool {
	return s.AllowsZone(c.Zone) && s.AllowsImage(c.Image)
}

// AllowsSession reports whether the scope reaches a session: its zone, its image and its user.
func (s Scope) AllowsSession(of staging.Session) bool {
	user := ""
	if of.User != nil {
		user = of.User.ID
	}
	return s.AllowsZone(of.Zone) && s.AllowsImage(of.Image) && s.AllowsUser(user)
}

// Within reports whether other reaches everything that s reaches.
func (s Scope) Within(other Scope) bool {
	return listWithin(s.Images, other.Images) && listWithin(s.Zones, other.Zones) && listWithin(s.Groups, other.Groups) &&
		strings.HasPrefix(s.UserPrefix, other.UserPrefix)
}

func reaches(names []string, name string) bool {
	return len(names) == 0 || slices.Contains(names, name)
}

func listWithin(names, others []string) bool {
	return len(others) == 0 || len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(others, n) })
}

// String returns the scope in words, such as "images demo, office; users acme-*"; "everything"
// for the zero Scope.
func (s Scope) String() string {
	var parts []string
	for _, list := range s.lists() {
		if len(list.names) > 0 {
			parts = append(parts, list.field+" "+strings.Join(list.names, ", "))
		}
	}
	if s.UserPrefix != "" {
		parts = append(parts, "users "+s.UserPrefix+"*")
	}
	return cmp.Or(strings.Join(parts, "; "), "everything")
}

// scopeList is one of a scope's lists, by its field in the API.
type scopeList struct {
	field string
	names []string
}

func (s Scope) lists() []scopeList {
	return []scopeList{{"images", s.Images}, {"zones", s.Zones}, {"groups", s.Groups}}
}

// validate calls add for each field of the scope that cannot be.
func (s Scope) validate(add func(field, format string, args ...any)) {
	for _, list := range s.lists() {
		if len(list.names) > MaxScopeNames {
			add("scope."+list.field, "must be at most %d names, is %d", MaxScopeNames, len(list.names))
			continue
		}
		for i, name := range list.names {
			field := fmt.Sprintf("scope.%s[%d]", list.field, i)
			if invalid, ok := errors.AsType[*staging.InvalidError](staging.ValidateName(name)); ok {
				add(field, "%s", invalid.Fields[0].Message)
			} else if slices.Index(list.names, name) < i {
				add(field, "is listed twice")
			}
		}
	}
	if len(s.UserPrefix) > staging.MaxUserIDLength || !printable(s.UserPrefix) {
		add("scope.user_prefix", "must be printable text of at most %d bytes", staging.MaxUserIDLength)
	}
}
