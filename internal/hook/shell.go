package hook

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/greenroom/greenroom/internal/staging"
)

// Shell is a /bin/sh in a session that waits for a script. It says words when it is
// asked to, and has been given nothing of any user's: until a script is handed over,
// its session is as unused as before.
type Shell struct {
	feed *feed
	out  *output
	errs tail
	// greeted is closed when it has said that it is there.
	greeted <-chan struct{}
	cancel  context.CancelFunc
	// ended is closed when its exec has returned, with code and err.
	ended chan struct{}
	code  int
	err   error
}

// open asks for a shell, which lives until ctx is done or it is closed.
func (r Runner) open(ctx context.Context, session staging.Session, task string) *Shell {
	// Nobody but this shell may be able to say it, the command least of all.
	farewell := rand.Text()
	s := &Shell{feed: newFeed(farewell), out: newOutput(farewell), ended: make(chan struct{})}
	s.greeted = s.out.await(greeting)
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.ended)
		s.code, s.err = r.Exec.Exec(ctx, session, task, shell, s.feed, s.out, &s.errs)
	}()
	return s
}

// Arm opens a shell in a task of the session ahead of time ("" is the main task),
// and gives it once it is there. It lives until Close, or until its session ends.
// An error says that there is no such shell, and that nothing was done.
func (r Runner) Arm(ctx context.Context, session staging.Session, task string) (*Shell, error) {
	for arming := 1; ; arming++ {
		s := r.open(context.WithoutCancel(ctx), session, task)
		select {
		case <-s.greeted:
			return s, nil
		case <-s.ended:
		case <-ctx.Done():
		}
		s.Close()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case s.err != nil:
			return nil, s.err
		case s.code != 0 || arming == maxArming || !pause(ctx):
			return nil, fmt.Errorf("the session's /bin/sh ended with exit code %d before it said a word", s.code)
		}
	}
}

// Alive has the shell say a word, and reports whether it did before ctx was done.
// Only one may ask at a time, and nobody any more once a script was handed over.
func (s *Shell) Alive(ctx context.Context) bool {
	word := rand.Text()
	heard := s.out.await(word)
	s.feed.ask(word)
	select {
	case <-heard:
		return true
	case <-s.ended:
	case <-ctx.Done():
	}
	return false
}

// Ended is closed when the shell is no more.
func (s *Shell) Ended() <-chan struct{} { return s.ended }

// Close ends the shell: it reads the end of its stdin. It may be called twice.
func (s *Shell) Close() {
	s.feed.close()
	s.cancel()
	<-s.ended
}

// run hands the script over when the shell is there, and waits for how it ends; fed
// is whether any of the script was taken. The shell is used up.
func (s *Shell) run(ctx context.Context, script []byte) (result Result, fed bool, err error) {
	select {
	case <-s.greeted:
		s.feed.give(script)
	case <-s.ended:
	case <-ctx.Done():
	}
	// The farewell comes a good while before Nomad's docker driver, which polls,
	// has found out that the shell has ended: nobody waits for it to.
	code := -1
	select {
	case <-s.out.farewelled:
	case <-s.ended:
		code, err = s.code, s.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	// The library may be blocked in a read when the exec has returned: from here on
	// the feed hands over nothing.
	fed = s.feed.close()
	s.Close() // what it wrote before is there then
	if s.out.succeeded() {
		code, err = ExitSuccess, nil
	}
	return Result{ExitCode: code, Stdout: s.out.String(), Stderr: s.errs.String()}, fed, err
}
