package staging

import "slices"

// State is a session's state.
//
//	staged:    pending -> starting -> ready -> claimed -> assigned -> ending -> ended
//	on demand: pending -> starting -> assigned -> ending -> ended
//	unused:    pending | starting | ready -> retiring -> ended
//
//	not known: pending | starting | ready | claimed -> quarantined -> ending -> ended
//
// A session that may be a user's, although no readable record says so, is quarantined until
// an administrator ends it. If a ready session's checks fail, it is withdrawn from its queue: ready -> starting. If a
// claim gets no fate record for its session, the session is unused and is unclaimed:
// claimed -> ready. If a session's allocation dies by itself, the session moves to ended
// from any state.
type State string

// The states, in the order of a life.
const (
	// Pending: the job is registered, or about to be; nothing runs yet.
	Pending State = "pending"
	// Starting: the allocation runs or is being started; its checks do not pass yet, or no longer.
	Starting State = "starting"
	// Ready: it runs, its checks pass, and it is in its pool's ready queue: claimable.
	Ready State = "ready"
	// Claimed: a launch has taken it; the fate record or the hook is not finished.
	Claimed State = "claimed"
	// Assigned: it belongs to a user.
	Assigned State = "assigned"
	// Quarantined: it may be a user's, and no readable record says whether it is. It is
	// neither given away nor ended until an administrator ends it.
	Quarantined State = "quarantined"
	// Retiring: it was never used and is being stopped.
	Retiring State = "retiring"
	// Ending: it was assigned or claimed and is being stopped.
	Ending State = "ending"
	// Ended: nothing of it runs.
	Ended State = "ended"
)

// DamagedState stands for a state that cannot be read; see Session.Damaged.
const DamagedState = State("unreadable")

// States lists every state, in the order of a life.
var States = []State{Pending, Starting, Ready, Claimed, Assigned, Quarantined, Retiring, Ending, Ended}

// moves is the table of allowed moves. The Redis scripts implement the same rules, and a
// test compares them with this table.
var moves = map[State][]State{
	Pending:  {Starting, Ready, Assigned, Quarantined, Retiring, Ending, Ended},
	Starting: {Ready, Assigned, Quarantined, Retiring, Ending, Ended},
	Ready:    {Starting, Claimed, Quarantined, Retiring, Ended},
	Claimed:  {Ready, Assigned, Quarantined, Ending, Ended},
	// With a readable fate record again it is assigned.
	Quarantined: {Assigned, Ending, Ended},
	Assigned:    {Ending, Ended},
	Retiring:    {Ended},
	Ending:      {Ended},
	Ended:       {},
}

// CanMove reports whether a session may move from one state to another in one step. Staying
// is not a move. Only an on-demand session moves from pending or starting to assigned or
// ending, because it has its user from the start.
func CanMove(from, to State) bool { return slices.Contains(moves[from], to) }

// Unassigned reports whether a session in this state exists without a user or a claim. It
// counts towards its pool's current sessions.
func (s State) Unassigned() bool { return s == Pending || s == Starting || s == Ready }

// Over reports whether the session is being stopped or has ended.
func (s State) Over() bool { return s == Retiring || s == Ending || s == Ended }
