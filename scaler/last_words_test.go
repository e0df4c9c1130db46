package scaler

import (
	"context"
	"errors"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// wordsFleet has the last line of every session's log, or fails.
type wordsFleet struct {
	stopFleet
	line string
	err  error
	read []string
}

func (f *wordsFleet) LastWords(_ context.Context, s staging.Session, a staging.AllocFacts, task string) (words staging.LastWords, err error) {
	f.read = append(f.read, s.ID+" "+a.ID+" "+task)
	if f.line != "" && task != "" {
		words.Stderr = []string{f.line}
	}
	words.TaskEvents = []string{"main: Terminated: Exit Code: 3"}
	return words, f.err
}

// failedEvents are the events of sessions that failed.
type failedEvents struct {
	EventStore
	noted []staging.Event
}

func (s *failedEvents) Note(_ context.Context, e staging.Event) error {
	s.noted = append(s.noted, e)
	return nil
}

// reasonStore has why sessions are retired.
type reasonStore struct {
	SessionStore
	reason string
}

func (s *reasonStore) Retire(_ context.Context, _ staging.Session, reason string) error {
	s.reason = reason
	return nil
}

// retiredFates retires every session.
type retiredFates struct{ Registry }

func (retiredFates) CreateFate(_ context.Context, f staging.Fate) (bool, staging.Fate, error) {
	return true, f, nil
}

// TestACrashedSessionsLastWordsAreRead: its reason and its pool's condition have them. Of
// sessions that crash together one log is read at a time, and a log that cannot be read is
// only missing.
func TestACrashedSessionsLastWordsAreRead(t *testing.T) {
	v := poolView(staging.Image{})
	crash := func(id string) *entry {
		e := runs(v, id)
		v.observe(staging.Observation{Session: id, Index: 2, Alloc: &staging.AllocFacts{
			ID: "a-" + id, NodeID: "n1", Over: true, FailedTask: "main", Failure: &staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 3"},
		}}, noon)
		return e
	}
	fleet, store := &wordsFleet{line: "no such display: :7"}, &reasonStore{}
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	events := &failedEvents{}
	s := &Scaler{Parts: Parts{SessionStore: store, EventStore: events, Registry: retiredFates{}, Fleet: fleet, Log: logrus.NewEntry(log)}}
	step := Step{Kind: Retire, Reason: "failed: task main: exit code 3"}
	condition := func() string {
		for _, c := range conditions(v.poolInput(v.pools["p"], noon), nil, "") {
			if c.Type == staging.CrashLooping {
				return c.Message
			}
		}
		return ""
	}

	first := s.newTask(v, crash("gr-1"), step, noon)
	other := s.newTask(v, crash("gr-2"), step, noon)
	s.applied(v, other, s.apply(t.Context(), other))
	if len(fleet.read) != 0 || store.reason != step.Reason {
		t.Errorf("beside another: read %v, retired for %q", fleet.read, store.reason)
	}
	s.applied(v, first, s.apply(t.Context(), first))
	if want := step.Reason + "; the last line of its stderr: no such display: :7"; store.reason != want || len(fleet.read) != 1 || fleet.read[0] != "gr-1 a-gr-1 main" {
		t.Errorf("read %v, retired for %q", fleet.read, store.reason)
	}
	if got, want := condition(), "task main: exit code 3 (1 in a row); the last line of stderr of session gr-1: no such display: :7"; got != want {
		t.Errorf("the condition is %q, want %q", got, want)
	}

	if e := events.noted; len(e) != 1 || e[0].Session != "gr-1" || e[0].Stderr != fleet.line || len(e[0].TaskEvents) != 1 {
		t.Errorf("noted %+v", e)
	}
	if f := v.pools["p"].lastFailure; f == nil || f.Session != "gr-1" || f.Node != "n1" || len(f.Stderr) != 1 || len(f.TaskEvents) != 1 {
		t.Errorf("the last failure is %+v", f)
	}

	fleet.err, fleet.line = errors.New("403"), ""
	next := s.newTask(v, crash("gr-3"), step, noon)
	s.applied(v, next, s.apply(t.Context(), next))
	if len(fleet.read) != 2 || store.reason != step.Reason || condition() != "task main: exit code 3 (1 in a row)" {
		t.Errorf("read %v, retired for %q, condition %q", fleet.read, store.reason, condition())
	}
	// What could not start has written nothing, and one that was stopped has not crashed.
	e := runs(v, "gr-4")
	e.failure, e.failedTask = &staging.Failure{Type: staging.ImageUnavailable, Message: "no such image"}, "main"
	if of := s.newTask(v, e, step, noon).words; of == nil || of.task != "" || of.crashed {
		t.Errorf("of what could not start %+v is read, not the events of its tasks alone", of)
	}
	v.pools["p"].readingWords = false
	if s.newTask(v, runs(v, "gr-5"), step, noon).words != nil {
		t.Error("the log of what did not crash is read")
	}
}

// finishStore has why sessions are ended.
type finishStore struct {
	AssignedStore
	reason string
}

func (s *finishStore) Finish(_ context.Context, _, _, reason string) error {
	s.reason = reason
	return nil
}

// TestASessionOnDemandThatCrashesEndsWithItsLastWords: every one does, since each had its own
// user. What a user's session wrote stays out of a reason.
func TestASessionOnDemandThatCrashesEndsWithItsLastWords(t *testing.T) {
	for _, c := range []struct {
		name  string
		state staging.State
		want  string
	}{
		{"before it is up", staging.Starting, "task main: exit code 3; the last line of its stderr: no such display: :7"},
		{"before Redis shows that it runs", staging.Pending, "task main: exit code 3; the last line of its stderr: no such display: :7"},
		{"a user's", staging.Assigned, "task main: exit code 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newView()
			store := &finishStore{}
			s := &Scaler{Parts: Parts{AssignedStore: store, Fleet: &wordsFleet{line: "no such display: :7"}}}
			for _, id := range []string{"gr-1", "gr-2"} {
				e := v.entry(id, noon)
				e.s = staging.Session{ID: id, State: c.state, Origin: staging.OnDemand, Zone: "east", Image: "desk"}
				e.hasJob = true
				v.observe(staging.Observation{Session: id, Index: 2, Alloc: &staging.AllocFacts{
					ID: "a-" + id, NodeID: "n1", Over: true, FailedTask: "main", Failure: &staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 3"},
				}}, noon)
				task := s.newTask(v, e, Step{Kind: End, Reason: "task main: exit code 3"}, noon)
				if r := s.apply(t.Context(), task); r.err != nil || store.reason != c.want {
					t.Errorf("%s ended for %q: %v, want %q", id, store.reason, r.err, c.want)
				}
			}
		})
	}
}
