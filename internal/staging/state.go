package staging

import "slices"

// State is where a session is in its life.
//
//	staged:    pending -> starting -> ready -> claimed -> assigned -> ending -> ended
//	on demand: pending -> starting -> assigned -> ending -> ended
//	unused:    pending | starting | ready -> retiring -> ended
//
// A session whose check fails while it waits goes back from ready to starting
// (it is withdrawn from its queue). One that was claimed with others for one launch
// goes back to ready when another of them turns out to be somebody's already: no fate
// was written of it, and nothing was sent to it. One whose allocation dies by itself goes
// to ended from wherever it was.
type State string

// The states, in the order of a life.
const (
	// Pending: the job is registered, or about to be; nothing runs yet.
	Pending State = "pending"
	// Starting: the allocation runs, or is being started; its checks do not pass yet, or no longer.
	Starting State = "starting"
	// Ready: running, checks passing, in its pool's ready queue: claimable.
	Ready State = "ready"
	// Claimed: taken for a user; the fate record or the hook is not finished.
	Claimed State = "claimed"
	// Assigned: a user's.
	Assigned State = "assigned"
	// Retiring: never used and being stopped.
	Retiring State = "retiring"
	// Ending: was a user's, or claimed for one, and is being stopped.
	Ending State = "ending"
	// Ended: nothing of it runs.
	Ended State = "ended"
)

// States lists every state, in the order of a life.
var States = []State{Pending, Starting, Ready, Claimed, Assigned, Retiring, Ending, Ended}

// moves is the one table of allowed moves. The Redis scripts carry the same
// rules, and a test holds them to this table.
var moves = map[State][]State{
	Pending:  {Starting, Ready, Assigned, Retiring, Ending, Ended},
	Starting: {Ready, Assigned, Retiring, Ending, Ended},
	Ready:    {Starting, Claimed, Retiring, Ended},
	Claimed:  {Ready, Assigned, Ending, Ended},
	Assigned: {Ending, Ended},
	Retiring: {Ended},
	Ending:   {Ended},
	Ended:    {},
}

// CanMove reports whether a session may go from one state to another in one
// step. Staying is not a move. Assigned is reached from pending or starting
// only by an on-demand session, which is born with its user; ending is reached
// from there for the same reason.
func CanMove(from, to State) bool { return slices.Contains(moves[from], to) }

// Unassigned reports whether a session in this state exists and is nobody's:
// it counts towards its pool's current sessions.
func (s State) Unassigned() bool { return s == Pending || s == Starting || s == Ready }

// Over reports whether the session is on its way out or gone.
func (s State) Over() bool { return s == Retiring || s == Ending || s == Ended }
