package devcluster

import (
	"errors"
	"runtime"
	"sync"
)

// spawner starts processes from one operating system thread that lives until
// close. The kernel sends a parent-death signal when the *thread* that started
// the child ends, and Go ends threads as it sees fit, so a child started from
// any goroutine could be killed while its parent lives on.
type spawner struct {
	work chan func()
	quit chan struct{}
	over chan struct{}
	once sync.Once
}

var errStopped = errors.New("the cluster has been stopped")

func newSpawner() *spawner {
	s := &spawner{work: make(chan func()), quit: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(s.over)
		// Never unlocked: the thread ends with the goroutine.
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

// run calls f, which starts a process, on the thread.
func (s *spawner) run(f func() error) error {
	result := make(chan error, 1)
	select {
	case s.work <- func() { result <- f() }:
		return <-result
	case <-s.over:
		return errStopped
	}
}

// close ends the thread, and with it every process that was started from it
// and still runs.
func (s *spawner) close() {
	s.once.Do(func() { close(s.quit) })
	<-s.over
}
