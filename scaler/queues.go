package scaler

// Tasks wait in one queue per class, so that steps that take long (a hook of two
// minutes) and steps that can wait do not delay the others.
const (
	workQueue = iota
	// hookQueue holds the hooks, which take as long as their commands take.
	hookQueue
	// tagQueue holds the steps that only publish information.
	tagQueue
	// purgeQueue holds the purges. Each costs Nomad as much as the start of a session, and
	// nobody waits for it.
	purgeQueue
	queueCount
)

// maxPurgesHeld is how many purges wait at most while other steps are under way. In a cluster
// that is never at rest the others are applied beside them, a few at a time.
const maxPurgesHeld = 500

func (t task) queue() int {
	switch t.step.Kind {
	case FirstLaunch, PreEnd, PreStop:
		return hookQueue
	case Tag:
		return tagQueue
	case Purge:
		return purgeQueue
	}
	return workQueue
}

// queues hold the tasks that wait for a worker, each in order. The number of sessions
// bounds them: a session with a waiting task is busy and gets no other.
type queues [queueCount][]task

func (q *queues) add(tasks []task) {
	for _, t := range tasks {
		q[t.queue()] = append(q[t.queue()], t)
	}
}

func (q *queues) pop(queue int) { q[queue] = q[queue][1:] }

// offer returns the next task of each queue, and the channel to send it on. An empty
// queue has a nil channel, which is never ready in a select, and so has that of purges while
// steps of the workQueue wait or are under way, unless too many are held back.
func (q *queues) offer(to [queueCount]chan task, underWay int) (work [queueCount]chan<- task, next [queueCount]task) {
	for queue, waiting := range q {
		if len(waiting) > 0 {
			work[queue], next[queue] = to[queue], waiting[0]
		}
	}
	if len(q[workQueue])+underWay > 0 && len(q[purgeQueue]) <= maxPurgesHeld {
		work[purgeQueue] = nil
	}
	return work, next
}
