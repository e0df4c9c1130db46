package nomadfleet

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// listOf is a list up to an index that has one session's job, or none.
func listOf(index uint64, session string) *listing {
	l := &listing{owner: owner{all: true}, jobs: map[string]*listedJob{}, locations: map[string]*location{}, jobsIndex: index}
	if session != "" {
		l.addJob(&nomadapi.JobListStub{ID: session, ModifyIndex: index, Meta: map[string]string{metaSession: session}})
	}
	return l
}

// TestAWatchForgetsJobsThatAreGone, and none that was registered after a list was read. Nomad may
// have no job at all, time and again.
func TestAWatchForgetsJobsThatAreGone(t *testing.T) {
	w := &watcher{own: map[string]ownJob{}, listed: make(chan struct{}), emit: func(staging.Observation) {}}
	w.take(listOf(0, ""))
	w.take(listOf(0, ""))
	select {
	case <-w.listed:
	default:
		t.Error("events wait although a list was read")
	}
	w.take(listOf(5, "gr-1"))
	w.own["gr-2"] = ownJob{index: 9}
	w.take(listOf(8, ""))
	if _, there := w.own["gr-1"]; there {
		t.Error("a job that was purged is remembered")
	}
	if _, there := w.own["gr-2"]; !there {
		t.Error("events of a job that was registered after the list are lost")
	}
}
