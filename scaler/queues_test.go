package scaler

import "testing"

// TestPurgesWaitForOtherSteps, up to a number of them.
func TestPurgesWaitForOtherSteps(t *testing.T) {
	var q queues
	var to [queueCount]chan task
	for i := range to {
		to[i] = make(chan task)
	}
	offered := func(underWay int) (work, purge bool) {
		next, _ := q.offer(to, underWay)
		return next[workQueue] != nil, next[purgeQueue] != nil
	}
	purges := func(n int) (tasks []task) {
		for range n {
			tasks = append(tasks, task{step: Step{Kind: Purge}})
		}
		return tasks
	}
	q.add(purges(1))
	if work, purge := offered(0); work || !purge {
		t.Errorf("nothing else to do: work %t, purge %t", work, purge)
	}
	if _, purge := offered(1); purge {
		t.Error("a purge goes beside a step that is under way")
	}
	q.add([]task{{step: Step{Kind: Stage}}})
	if work, purge := offered(0); !work || purge {
		t.Errorf("a session is to be made: work %t, purge %t", work, purge)
	}
	q.add(purges(maxPurgesHeld))
	if work, purge := offered(16); !work || !purge {
		t.Errorf("many purges wait: work %t, purge %t", work, purge)
	}
	q.pop(purgeQueue)
	if _, purge := offered(16); purge {
		t.Error("few purges wait, and one goes beside other steps")
	}
}
