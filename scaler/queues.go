package scaler

// Steps wait in lanes, so that those that take long, a hook of two minutes say,
// and those that can wait do not hold up the others.
const (
	workQueue = iota
	// hookQueue: hooks, which take as long as they take.
	hookQueue
	// tagQueue: what only shows how things are.
	tagQueue
	queueCount
)

func (t task) queue() int {
	switch t.step.Kind {
	case FirstLaunch:
		return hookQueue
	case Tag:
		return tagQueue
	}
	return workQueue
}

// queues are the steps that wait for a worker, in order. They are bounded by the
// sessions: a session that has a step waiting is busy and is given no other.
type queues [queueCount][]task

func (q *queues) add(tasks []task) {
	for _, t := range tasks {
		q[t.queue()] = append(q[t.queue()], t)
	}
}

func (q *queues) pop(queue int) { q[queue] = q[queue][1:] }

// offer gives the next task of each lane with the channel to offer it on. A lane
// without one is offered to nobody: a nil channel is never ready.
func (q *queues) offer(to [queueCount]chan task) (work [queueCount]chan<- task, next [queueCount]task) {
	for queue, waiting := range q {
		if len(waiting) > 0 {
			work[queue], next[queue] = to[queue], waiting[0]
		}
	}
	return work, next
}
