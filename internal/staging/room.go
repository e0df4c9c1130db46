package staging

import (
	"cmp"
	"fmt"
	"time"
)

// MaxRoomWait bounds how long a session may wait for room: a cluster autoscaler needs minutes.
const MaxRoomWait = Duration(time.Hour)

// How the reason of a session made on demand begins: while it waits for room, and when it
// ended because none came in time.
const (
	ReasonWaitingForRoom = "waiting for room: "
	ReasonNoRoomCame     = "no room came within "
)

// RoomWait returns how long a launch's session may wait for room in a zone, queued in Nomad, when
// no node can take it: the launch's own wait_for_room, else its image's, else that of its
// user's groups. Where nothing is set it does not wait, except for the room that pools of lower
// priority make.
func (r Resources) RoomWait(zone string, l Launch, i Image, s Settings) time.Duration {
	wait := cmp.Or(l.WaitForRoom, i.WaitForRoom, s.WaitForRoom)
	switch {
	case wait != nil:
		return wait.Std()
	case r.MayMakeRoom(zone, i.Name):
		return MakeRoomWait.Std()
	}
	return 0
}

// RoomUntil returns until when a session that is not placed waits for room; zero for one that
// does not.
func (s Session) RoomUntil() time.Time {
	if s.WaitForRoom == 0 || s.Origin != OnDemand {
		return time.Time{}
	}
	return s.CreatedAt.Add(s.WaitForRoom.Std())
}

// NoRoomCame is the reason of the end of a session for which no room came; why is what was
// missing at last.
func (s Session) NoRoomCame(why string) string {
	return fmt.Sprintf("%s%s: %s", ReasonNoRoomCame, s.WaitForRoom.Brief(), why)
}

func (p *problems) roomWait(d *Duration) {
	if d != nil && (*d < 0 || *d > MaxRoomWait) {
		p.add("wait_for_room", "must be between 0s and %s, or absent, is %s", MaxRoomWait.Brief(), d.Brief())
	}
}
