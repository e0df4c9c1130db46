package scaler

// Tasks wait in one queue per class, so that steps that take long (a hook of two
// minutes) and steps that can wait do not delay the others.
const (
	workQueue = iota
	// hookQueue holds the hooks, which take as long as their commands take.
	hookQueue
	// tagQueue holds the steps that only publish information.
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
// queue has a nil channel, which is never ready in a select.
func (q *queues) offer(to [queueCount]chan task) (work [queueCount]chan<- task, next [queueCount]task) {
	for queue, waiting := range q {
		if len(waiting) > 0 {
			work[queue], next[queue] = to[queue], waiting[0]
		}
	}
	return work, next
}
