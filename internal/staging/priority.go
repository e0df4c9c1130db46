package staging

// DefaultPriority is that of a pool whose config sets none, and of launches of images that have
// no pool in their zone.
const DefaultPriority = 50

// MaxPriority is the highest priority; the lowest is 1.
const MaxPriority = 100

// MakeRoomWait is how long a launch waits for the room that pools of lower priority make for
// it, where nothing says how long it may wait for room.
const MakeRoomWait = Duration(30e9)

// Rank returns the pool's priority.
func (c Config) Rank() int {
	if c.Priority == 0 {
		return DefaultPriority
	}
	return c.Priority
}

// LaunchRank returns the priority of a launch: that of the image's pools in the zone, the
// highest of several.
func (r Resources) LaunchRank(zone, image string) int {
	rank := 0
	for _, c := range r.Configs {
		if c.Zone == zone && c.Image == image {
			rank = max(rank, c.Rank())
		}
	}
	if rank == 0 {
		return DefaultPriority
	}
	return rank
}

// MayMakeRoom reports whether sessions of some pool in the zone make room for a launch of an
// image.
func (r Resources) MayMakeRoom(zone, image string) bool {
	rank := r.LaunchRank(zone, image)
	for _, c := range r.Configs {
		if c.Zone == zone && c.Rank() < rank {
			return true
		}
	}
	return false
}
