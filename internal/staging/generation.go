package staging

// Generation numbers the staged sessions in the order in which they are made: a scaler
// begins a new generation in Consul before it makes sessions, and each session's job in
// Nomad keeps its own. A job of a later generation than Consul's therefore shows that
// Consul was restored from a snapshot, and that fate records may be lost. Nomad is the
// witness, because Redis may be lost, too, and every scaler may have been restarted.
type Generation struct {
	// Current is the newest generation.
	Current uint64 `json:"generation"`
	// RestoredThrough is the newest generation of which fate records may be lost; 0 for none.
	RestoredThrough uint64 `json:"restored_through,omitempty"`
}

// LostFates reports whether a restore of Consul may have lost the fate record of a session
// of a generation. Sessions from before there were generations have 0.
func (g Generation) LostFates(session uint64) bool {
	return g.RestoredThrough > 0 && session <= g.RestoredThrough
}

// Shows reports whether a session of a generation shows that Consul was restored, which no
// scaler has noted yet.
func (g Generation) Shows(session uint64) bool { return session > g.Current }
