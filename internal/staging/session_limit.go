package staging

import (
	"fmt"
	"time"
)

// SessionLimit is a bound on how many sessions may exist at once.
type SessionLimit struct {
	// Setting is max_sessions or max_sessions_per_user.
	Setting string `json:"setting"`
	// Kind and Name say which resource sets it; Kind is "" for a broker's own setting.
	Kind ResourceKind `json:"kind,omitempty"`
	Name string       `json:"name,omitempty"`
	// Max is the bound.
	Max int `json:"max"`
	// UserID is whose sessions are counted, for max_sessions_per_user.
	UserID string `json:"-"`
}

// String returns the limit as text for people, to go before "allows 3".
func (l SessionLimit) String() string {
	switch l.Kind {
	case "":
		return "this broker's setting " + l.Setting
	case KindGroup:
		return fmt.Sprintf("%s of the user's group %s", l.Setting, l.Name)
	case KindStaging:
		return fmt.Sprintf("%s of staging config %s", l.Setting, l.Name)
	}
	return fmt.Sprintf("%s of %s %s", l.Setting, l.Kind, l.Name)
}

// OfUser reports whether the limit counts the sessions of one user.
func (l SessionLimit) OfUser() bool { return l.Setting == settingMaxSessionsPerUser }

// LimitReached is a limit that more sessions would exceed.
type LimitReached struct {
	SessionLimit
	// InUse is how many sessions count, those that are about to be made included.
	InUse int `json:"in_use"`
	// Existing are those of them that exist.
	Existing []SessionUse `json:"-"`
}

// Sessions are the ids of the sessions that exist and count.
func (r LimitReached) Sessions() []string {
	ids := make([]string, len(r.Existing))
	for i, u := range r.Existing {
		ids[i] = u.Session
	}
	return ids
}

// SessionUse is a session as limits count it.
type SessionUse struct {
	Session string `json:"session,omitempty"`
	Image   string `json:"image,omitempty"`
	Zone    string `json:"zone,omitempty"`
	// Staging is the session's pool; "" for one made on demand.
	Staging string `json:"staging,omitempty"`
	// Claim is that of the launch which took or made it; "" for none.
	Claim string `json:"claim,omitempty"`
	// UserID is whose it is; "" for nobody's.
	UserID string `json:"user_id,omitempty"`
}

// covers reports whether the limit counts a session.
func (l SessionLimit) covers(u SessionUse) bool {
	if l.OfUser() {
		return u.UserID == l.UserID && (l.Kind != KindImage || u.Image == l.Name)
	}
	switch l.Kind {
	case KindImage:
		return u.Image == l.Name
	case KindZone:
		return u.Zone == l.Name
	case KindStaging:
		return u.Staging == l.Name
	}
	return false
}

// Reservation is a place under the limits for sessions that are about to be made, or given to
// a user: from before the limits are counted until the session's job, or its fate, can be read
// by whoever counts next.
type Reservation struct {
	// Holder is the claim of the launch, or the id of the session that is to be staged.
	Holder string `json:"holder"`
	SessionUse
	// Count is how many sessions.
	Count int `json:"count"`
	// Given: the sessions exist already and get a user, so they count for limits of users alone.
	Given bool `json:"given,omitempty"`
	// At is when it was made or renewed, by its holder's clock: it tells a renewed one from the
	// one before, and no decision rests on it.
	At time.Time `json:"at"`
}

// Reservations are all that are held, and the version of their record in Consul.
type Reservations struct {
	Held  []Reservation `json:"held"`
	Index uint64        `json:"-"`
}

// Times of a reservation, as those of a profile's lease: its holder makes the sessions within
// ReservationUse or not at all, and one of which nothing is seen is dropped ReservationStray
// after it was first seen.
const (
	ReservationUse   = ProfileRegister
	ReservationStray = ProfileStray
)

// Reached returns the first limit that a reservation would exceed, beside the sessions that
// exist and what others have reserved; nil where none is. A launch's own sessions do not count:
// it has given them up.
func Reached(limits []SessionLimit, r Reservation, existing []SessionUse, held []Reservation) *LimitReached {
	for _, l := range limits {
		reached := LimitReached{SessionLimit: l}
		reserved := map[string]bool{}
		for _, other := range held {
			if other.Holder == r.Holder || other.Given && !l.OfUser() || !l.covers(other.SessionUse) {
				continue
			}
			reached.InUse += other.Count
			reserved[other.Session], reserved[other.Claim] = true, true
		}
		delete(reserved, "")
		for _, u := range existing {
			own := u.Claim != "" && u.Claim == r.Claim
			if own || reserved[u.Session] || l.OfUser() && reserved[u.Claim] || !l.covers(u) {
				continue
			}
			reached.InUse++
			reached.Existing = append(reached.Existing, u)
		}
		if reached.InUse+r.Count > l.Max {
			return &reached
		}
	}
	return nil
}

// LimitsOf returns the limits that a new session counts for. Its user's are not among them:
// they are counted where the session is given.
func (r Resources) LimitsOf(u SessionUse) []SessionLimit {
	var all []SessionLimit
	add := func(kind ResourceKind, name string, most int) {
		if most > 0 {
			all = append(all, SessionLimit{Setting: settingMaxSessions, Kind: kind, Name: name, Max: most})
		}
	}
	add(KindStaging, u.Staging, r.Configs[u.Staging].MaxSessions)
	add(KindImage, u.Image, r.Images[u.Image].MaxSessions)
	add(KindZone, u.Zone, r.Zones[u.Zone].MaxSessions)
	return all
}

// SessionLimit is the config's own limit.
func (c Config) SessionLimit() SessionLimit {
	return SessionLimit{Setting: settingMaxSessions, Kind: KindStaging, Name: c.Name, Max: c.MaxSessions}
}

// UserLimits returns the limits of a user's sessions that a launch of an image counts for.
// fallback is the broker's own, for users whose groups set none; 0 for none.
func (s Settings) UserLimits(user User, i Image, fallback int) []SessionLimit {
	var all []SessionLimit
	switch {
	case s.MaxSessionsPerUser > 0:
		all = append(all, SessionLimit{Setting: settingMaxSessionsPerUser, Kind: KindGroup, Name: s.MaxSessionsFrom(), Max: s.MaxSessionsPerUser, UserID: user.ID})
	case fallback > 0:
		all = append(all, SessionLimit{Setting: settingMaxSessionsPerUser, Max: fallback, UserID: user.ID})
	}
	if i.MaxSessionsPerUser > 0 {
		all = append(all, SessionLimit{Setting: settingMaxSessionsPerUser, Kind: KindImage, Name: i.Name, Max: i.MaxSessionsPerUser, UserID: user.ID})
	}
	return all
}

// maxSessions checks a limit of sessions; 0 is none.
func (p *problems) maxSessions(field string, n int) {
	if n < 0 {
		p.add(field, "must be at least 1, or absent for no limit, is %d", n)
	}
}
