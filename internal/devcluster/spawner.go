package devcluster

import (
	"errors"
	"runtime"
	"sync"
)

// spawner starts processes from one operating system thread that lives until close. The
// kernel sends a child its parent-death signal when the *thread* that started it ends.
// Go may end a thread at any time, so a child started from an ordinary goroutine could
// be killed while this process still runs.
type spawner struct {
	work  chan func()
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
}

var errStopped = errors.New("the cluster has been stopped")

func newSpawner() *spawner {
	s := &spawner{work: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		// The goroutine never unlocks its thread, so the thread ends with it.
		runtime.LockOSThread()
		for {
			select {
			case f := <-s.work:
				f()
			case <-s.quit:
				return
			}
		}
	}()
	return s
}

// run calls f, which starts a process, on the spawner's thread.
func (s *spawner) run(f func() error) error {
	result := make(chan error, 1)
	select {
	case s.work <- func() { result <- f() }:
		return <-result
	case <-s.ended:
		return errStopped
	}
}

// close ends the thread. The kernel then kills every process that it started and that
// still runs.
func (s *spawner) close() {
	s.once.Do(func() { close(s.quit) })
	<-s.ended
}
