package staging

import "time"

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
	// TakenAt is for people.
	TakenAt time.Time `json:"taken_at"`
	// Index is the record's version in Consul.
	Index uint64 `json:"-"`
}

// ProfileOf returns the directory of the user's persistent profile, "" where the image has
// none. It returns an *InvalidError if the user's name or id cannot be part of a path.
func (i Image) ProfileOf(u User) (string, error) {
	if i.PersistentProfilePath == "" {
		return "", nil
	}
	v, err := VolumeMapping{Source: i.PersistentProfilePath, Target: ProfileTarget}.of(u)
	return v.Source, err
}
