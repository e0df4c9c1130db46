package staging

import (
	"path"
	"time"
)

// ProfileLease is a session's hold on a persistent profile, which is one session's at a
// time: from before its job is registered until nothing of the session runs any more.
type ProfileLease struct {
	// Path is the profile's directory on the node, without tokens.
	Path string `json:"path"`
	// Session is the session's id. Zone, Namespace and Region say where its job is.
	Session   string `json:"session"`
	Zone      string `json:"zone"`
	Namespace string `json:"namespace,omitempty"`
	Region    string `json:"region,omitempty"`
	// TakenAt is for people: no decision rests on it, since it is another host's time.
	TakenAt time.Time `json:"taken_at"`
	// Index is the record's version in Consul.
	Index uint64 `json:"-"`
}

// Times of a profile's lease. A launch registers its job within ProfileRegister after it took
// the lease, or not at all. A lease whose session has no job is freed ProfileStray after it
// was first seen: the difference is what a call that is under way may still take.
const (
	ProfileRegister = 15 * time.Second
	ProfileStray    = 45 * time.Second
)

// Remains is what Nomad has of a session.
type Remains struct {
	// Job: Nomad has its job, perhaps stopped.
	Job bool
	// MayRun: the job is not stopped, or an allocation of it has not ended on its node. An
	// allocation that is told to stop may save for a while.
	MayRun bool
}

// ProfileFree reports whether a session's lease of a profile is over. seenFor is how long
// the lease has been observed, at least.
//
// A job that is there and of which nothing runs never runs again: a job is registered once.
// Where there is none, its launch may be about to register it.
func ProfileFree(r Remains, seenFor time.Duration) bool {
	switch {
	case r.MayRun:
		return false
	case r.Job:
		return true
	}
	return seenFor >= ProfileStray
}

// ProfileOf returns the directory of the user's persistent profile, "" where the image has
// none. It returns an *InvalidError if it depends on a user's id and there is none.
func (i Image) ProfileOf(u User) (string, error) {
	if i.PersistentProfilePath == "" {
		return "", nil
	}
	v, err := VolumeMapping{Source: i.PersistentProfilePath, Target: ProfileTarget}.of(u)
	if err != nil {
		return "", err
	}
	// Two spellings of one directory are one profile.
	return path.Clean(v.Source), nil
}
