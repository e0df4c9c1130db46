package scaler

// Steps wait in lanes, so that those that take long, a hook of two minutes say,
// and those that can wait do not hold up the others.
const (
	laneWork = iota
	// laneHooks: hooks, which take as long as they take.
	laneHooks
	// laneTags: what only shows how things are.
	laneTags
	lanes
)

func (t task) lane() int {
	switch t.step.Kind {
	case FirstLaunch:
		return laneHooks
	case Tag:
		return laneTags
	}
	return laneWork
}

// queues are the steps that wait for a worker, in order. They are bounded by the
// sessions: a session that has a step waiting is busy and is given no other.
type queues [lanes][]task

func (q *queues) add(tasks []task) {
	for _, t := range tasks {
		q[t.lane()] = append(q[t.lane()], t)
	}
}

func (q *queues) taken(lane int) { q[lane] = q[lane][1:] }

// offer gives the next task of each lane with the channel to offer it on. A lane
// without one is offered to nobody: a nil channel is never ready.
func (q *queues) offer(to [lanes]chan task) (work [lanes]chan<- task, next [lanes]task) {
	for lane, waiting := range q {
		if len(waiting) > 0 {
			work[lane], next[lane] = to[lane], waiting[0]
		}
	}
	return work, next
}
