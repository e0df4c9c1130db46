package scaler

// unaccounted: its job was taken over from another installation, and neither Redis nor a
// fate record says whether it has a user. While it runs, it is neither given away nor ended:
// an administrator ends it.
func (e *entry) unaccounted() bool {
	return e.takenOver && e.s.State == "" && e.verdict == "" && e.hasJob && !e.stopped && !e.over()
}
