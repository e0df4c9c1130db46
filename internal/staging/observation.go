package staging

import "time"

// Observation is new data from Nomad about one session, or about a node that runs sessions.
// A full list fills every part. An event fills the part that changed and leaves the others
// nil, which means "nothing new", never "gone".
type Observation struct {
	// Session is "" for data about a node.
	Session string
	// Foreign is the installation of a session that belongs to another one, or
	// NoInstallation. Nothing may act on such a session, and nothing else of it is set.
	Foreign string
	// Index is Nomad's Raft index of the data. A part with an older index than one already
	// seen is stale.
	Index     uint64
	Job       *JobFacts
	Alloc     *AllocFacts
	Placement *PlacementFacts
	// Replaced: Nomad has created another allocation in place of the session's, as it does
	// when a node is drained or disconnected. The session is over, even if something of it
	// still runs, and the other allocation is a clone without a user. An event may not set
	// Replaced; the reader must then compare Alloc with the one before.
	Replaced bool
	Node     *NodeFacts
}

// NodeFacts is the state of a node in Nomad.
type NodeFacts struct {
	ID, Name string
	// Condition summarizes the node's status, eligibility and drivers. A change may mean
	// that somebody has repaired the node.
	Condition string
	// Draining: an operator drains the node. Sessions are batch jobs, which run on until the
	// drain's deadline.
	Draining bool
	// Eligible: it is ready and takes new jobs.
	Eligible bool
	// Datacenter and Pool say which zones it is in.
	Datacenter, Pool string
	// Capacity is what all that runs on it may reserve together; zero where that is not known.
	Capacity Needs
	// Values has its values of Resources.SpreadProperties; a property that it
	// does not have is "" there, and one that could not be read is missing.
	Values map[string]string
}

// JobFacts is the state of a session's job.
type JobFacts struct {
	// Session has the fields that the job stores: id, origin, zone, image, staging,
	// revision, claim, namespace, region, task, creation time and wait for room. It has no state and no
	// facts of the allocation.
	Session Session
	// TakenOver: it was created by another installation, whose jobs an administrator took
	// over.
	TakenOver bool
	// Stopped: it was deregistered, and has stopped or will stop soon.
	Stopped bool
	// Dead: it is complete; nothing of it runs or will run.
	Dead bool
	// Narrowed: as Placement.Narrowed of the spec that it was made from.
	Narrowed bool
	// Excludes is how many nodes the job may not run on because of others of its pool.
	Excludes int
	// CheckEvery is within what time each check of the session's service has a result of its
	// own; 0 if the job does not say so.
	CheckEvery time.Duration
	// Needs is what it reserves on its node; zero if the job does not say so.
	Needs Needs
}

// AllocFacts is the state of a session's allocation.
type AllocFacts struct {
	ID, NodeID string
	Address    string
	Ports      map[string]int
	// Running: its node reports that its tasks run. Its health is in Consul.
	Running bool
	// Over: its tasks have stopped and will not run again (complete, failed or lost).
	Over bool
	// Failure is the reason if it is over or cannot start because of itself; nil otherwise.
	Failure *Failure
	// FailedTask is the task that caused Failure; "" if that is not known.
	FailedTask string
	// Reason is Nomad's reason for an end, or a possible end, that the image did not cause:
	// the node was lost or is disconnected, or the allocation was moved or stopped. ""
	// otherwise.
	Reason    string
	CreatedAt time.Time
	// Restarts is how often Nomad has restarted each task in place, by the task's name.
	Restarts map[string]int
}

// RestartsOf returns how often Nomad has restarted the session's main task. A session whose
// main task is not known has had none.
func (a AllocFacts) RestartsOf(s Session) int { return a.Restarts[s.Task] }

// PlacementFacts is the result of the scheduler's last search for a node.
type PlacementFacts struct {
	// Refused is why no node was suitable; nil means that one was found.
	Refused *Failure
}

// Failure is a reason from Nomad, ready to become a condition.
type Failure struct {
	Type    ConditionType `json:"type"`
	Message string        `json:"message"`
}

// Health is the state of one session's service instance in Consul.
type Health struct {
	Session string
	AllocID string
	// Port is the one that the service advertises.
	Port int
	// TakenOver: as in JobFacts.
	TakenOver bool
	// Generation is the session's; 0 for an on-demand one.
	Generation uint64
	// Passing: every check of the instance and of its node passes.
	Passing bool
	// Failing: a check of the session itself is critical. The checks of its node do not count,
	// nor does Consul's maintenance mode: they do not say that the session is broken.
	Failing bool
	// Check is the first of those that are critical, by name; zero where Failing is false.
	Check FailingCheck
}
