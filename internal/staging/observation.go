package staging

import "time"

// Observation is a piece of what Nomad says about one session, or about a node
// on which sessions run. A full list fills every part; an event fills the part
// that changed and leaves the others nil, which means "nothing new", never "gone".
type Observation struct {
	// Session is "" where the news is of a node.
	Session string
	// Index is Nomad's Raft index of the news. A part with an older index than
	// one already seen is stale.
	Index     uint64
	Job       *JobFacts
	Alloc     *AllocFacts
	Placement *PlacementFacts
	// Replaced: Nomad has made another allocation in place of the session's, as it
	// does when a node is drained or cut off. The session is over, whatever still
	// runs of it, and the other allocation is a clone that is nobody's. An event may
	// leave it to the reader to see that Alloc is another than before.
	Replaced bool
	Node     *NodeFacts
}

// NodeFacts is what Nomad says of a node.
type NodeFacts struct {
	ID string
	// Draining: an operator wants what runs there to go elsewhere. Batch jobs,
	// which sessions are, run on until the drain's deadline.
	Draining bool
}

// JobFacts is what a session's job says.
type JobFacts struct {
	// Session carries what the job knows of its session: id, origin, zone,
	// image, staging, revision, claim, namespace, region, task and creation
	// time. State and the allocation's facts are not filled.
	Session Session
	// Stopped: it was deregistered and runs no more, or will not for long.
	Stopped bool
	// Dead: it has come to its end: nothing of it runs or will.
	Dead bool
}

// AllocFacts is what a session's allocation says.
type AllocFacts struct {
	ID, NodeID string
	Address    string
	Ports      map[string]int
	// Running: its tasks run, and its node tells so. Whether it is healthy, Consul knows.
	Running bool
	// Over: its tasks have stopped for good (complete, failed or lost).
	Over bool
	// Failure says why, when it is over or cannot start by itself; nil otherwise.
	Failure *Failure
	// Reason is what Nomad says of the end of an allocation that is not the image's
	// doing, or of why it may come: it was lost with its node or is out of sight,
	// moved or stopped. "" otherwise.
	Reason    string
	CreatedAt time.Time
}

// PlacementFacts is what the scheduler said when it last looked for a node.
type PlacementFacts struct {
	// Refused says why no node would do; nil means that one was found.
	Refused *Failure
}

// Failure is a reason from Nomad, ready to become a condition.
type Failure struct {
	Type    ConditionType `json:"type"`
	Message string        `json:"message"`
}

// Health is what Consul says of one session's service instance.
type Health struct {
	Session string
	AllocID string
	// Assigned: its service says that it is a user's. One that does not say so may
	// be one all the same.
	Assigned bool
	// Passing: every check of the instance and of its node passes.
	Passing bool
}
