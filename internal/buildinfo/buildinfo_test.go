package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestWhatTheLinkerSetComesBeforeWhatGoRecorded(t *testing.T) {
	recorded := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-24T10:47:48+02:00"}, {Key: "vcs.modified", Value: "true"},
	}}
	if i := of(recorded); i.Version != "v1.2.3" || i.Commit != "abc-dirty" || i.Date != "2026-11-24T08:47:48Z" {
		t.Errorf("what Go recorded: %+v", i)
	}
	if i := of(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}); i.Version != development || i.Commit != "" || i.Date != "" || i.Go == "" || i.Platform == "" {
		t.Errorf("nothing is known: %+v", i)
	}
	defer func() { version, commit, date = "", "", "" }()
	version, commit, date = "v2", "def", "2026-11-30T00:00:00Z"
	if i := of(recorded); i.Version != "v2" || i.Commit != "def" || i.Date != date {
		t.Errorf("what the linker set: %+v", i)
	}
}
