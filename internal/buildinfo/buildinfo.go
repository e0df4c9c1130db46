// Package buildinfo says which greenroom this program is.
//
// make build has the linker set version, commit and date, and the date is the commit's: the same
// commit gives the same bytes. Otherwise it is what Go recorded of the build.
package buildinfo

import (
	"runtime"
	"runtime/debug"
	"time"
)

// The linker sets these; "" takes what Go has recorded.
var version, commit, date string

// Info is a build of greenroom.
type Info struct {
	Version string `json:"version"`
	// Commit is what it was built from, and Date when that was committed; "" for not known.
	Commit string `json:"commit,omitempty"`
	Date   string `json:"date,omitempty"`
	// Go and Platform are what it was built with and for.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// development is the version of a build that nobody has given one.
const development = "development"

// Read returns this program's build.
func Read() Info {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = &debug.BuildInfo{}
	}
	return of(recorded)
}

func of(recorded *debug.BuildInfo) Info {
	i := Info{Version: version, Commit: commit, Date: date, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if i.Version == "" {
		i.Version = recorded.Main.Version
	}
	if i.Version == "" || i.Version == "(devel)" {
		i.Version = development
	}
	settings := map[string]string{}
	for _, s := range recorded.Settings {
		settings[s.Key] = s.Value
	}
	if i.Commit == "" {
		i.Commit = settings["vcs.revision"]
		if i.Commit != "" && settings["vcs.modified"] == "true" {
			i.Commit += "-dirty"
		}
	}
	if at, err := time.Parse(time.RFC3339, settings["vcs.time"]); i.Date == "" && err == nil {
		i.Date = at.UTC().Format(time.RFC3339)
	}
	return i
}
