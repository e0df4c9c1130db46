package main

import (
	"fmt"
	"slices"
	"strings"
)

// rule says what one package, or everything below one directory, may import
// besides the standard library.
type rule struct {
	// of is a package's path, or "dir/..." for dir and all below it. The longest
	// match counts.
	of string
	// ours are the patterns of our own packages that it may import.
	ours []string
	// libraries are the patterns of other modules' packages; anyLibrary allows
	// all but those of clients.
	libraries []string
	// alone keeps its tests, too, from importing others of ours and clients.
	// Otherwise a test may import whatever it needs to set the stage.
	alone bool
}

const anyLibrary = "*"

// rules draw the design's arrows: they point down only, and only cmd joins
// logic and adapters. Every package must be in here.
var rules = []rule{
	{of: "cmd/...", ours: []string{"broker/...", "scaler/...", "internal/...", "jobspecs"}, libraries: []string{anyLibrary}},

	// The rooms of cmd/greenroom: main is a door, cli lists the commands, and only the
	// tests are above it.
	{of: "cmd/greenroom", ours: []string{cmdRooms + "cli"}},
	{of: cmdRooms + "cli", ours: []string{
		cmdRooms + "agent", cmdRooms + "bench", cmdRooms + "client", cmdRooms + "dev", cmdRooms + "exit", cmdRooms + "output", cmdRooms + "resources",
		"broker/httpapi", "broker/launch", "broker/refusal", "internal/staging", "internal/access", "internal/config", "internal/nomadfleet",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "dev", ours: []string{
		cmdRooms + "agent", cmdRooms + "client", cmdRooms + "exit", cmdRooms + "resources",
		"broker/httpapi", "internal/staging", "internal/config", "internal/devcluster", "jobspecs",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "bench", ours: []string{
		cmdRooms + "agent", cmdRooms + "client", cmdRooms + "exit", cmdRooms + "output",
		"broker/httpapi", "broker/launch", "internal/staging", "internal/config", "internal/loadgen", "internal/baseline",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "resources", ours: []string{
		cmdRooms + "client", cmdRooms + "exit", cmdRooms + "output", "broker/httpapi", "internal/staging",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "client", ours: []string{cmdRooms + "exit", cmdRooms + "output", "broker/httpapi", "internal/staging", "internal/config"}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "agent", ours: []string{cmdRooms + "exit", "broker/...", "scaler/...", "internal/..."}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "output", ours: []string{cmdRooms + "exit"}, libraries: []string{"github.com/spf13/..."}},
	{of: cmdRooms + "exit"},
	{of: cmdRooms + "clitest", ours: []string{cmdRooms + "cli", cmdRooms + "exit", "broker/...", "internal/staging", "internal/access"}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "e2e/...", libraries: []string{anyLibrary}},

	// The two programs' logic: the vocabulary and interfaces of their own.
	{of: "broker", ours: []string{
		"broker/launch", "broker/sessions", "broker/admin", "broker/status", "broker/events", "broker/armed", "broker/audit", "broker/background", "broker/refusal",
		"internal/staging", "internal/logfield", "internal/access",
	}, libraries: []string{anyLibrary}},
	{of: "broker/refusal", ours: []string{"internal/staging"}},
	{of: "broker/background", libraries: []string{"golang.org/x/sync/errgroup"}},
	{of: "broker/launch", ours: []string{"broker/refusal", "broker/background", "internal/staging", "internal/logfield", "internal/access"}, libraries: []string{anyLibrary}},
	{of: "broker/httpapi", ours: []string{"broker", "broker/launch", "broker/refusal", "internal/staging", "internal/logfield", "internal/access"}, libraries: []string{anyLibrary}},
	{of: "broker/httpapi/contracttest", libraries: []string{anyLibrary}},
	{of: "broker/web", libraries: []string{"github.com/gin-gonic/gin"}},
	{of: "scaler", ours: []string{"internal/staging", "internal/logfield", "scaler/sizing"}, libraries: []string{anyLibrary}},
	{of: "scaler/sizing", ours: []string{"internal/staging"}, libraries: []string{"github.com/robfig/cron/..."}},

	// The vocabulary.
	{of: "internal/staging", alone: true, libraries: []string{"github.com/oklog/ulid/...", "github.com/robfig/cron/..."}},

	{of: "internal/logfield", alone: true},

	// Who may do what.
	{of: "internal/access", ours: []string{"internal/staging"}, alone: true},

	// The adapters: one dependency each, and not one another.
	{of: "internal/registry", ours: []string{"internal/staging", "internal/access"}, libraries: []string{anyLibrary}},
	{of: "internal/consulhealth", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/nomadfleet", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/redisstore", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/issuer", ours: []string{"internal/access"}, libraries: []string{anyLibrary}},
	{of: "internal/issuer/issuertest", libraries: []string{anyLibrary}},
	{of: "internal/hook", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/config", ours: []string{"internal/staging", "internal/access"}, libraries: []string{anyLibrary}},

	// What stands around them.
	{of: "internal/devcluster/...", ours: []string{"internal/devcluster/...", "jobspecs"}, libraries: []string{anyLibrary}},
	{of: "internal/lint"},
	{of: "internal/loadgen", alone: true, libraries: []string{"github.com/HdrHistogram/hdrhistogram-go"}},
	{of: "internal/benchreport/...", ours: []string{"internal/benchreport"}},
	{of: "internal/baseline", libraries: []string{anyLibrary}},
	// What keeps the documents true.
	{of: "internal/walkthrough", alone: true, libraries: []string{"github.com/yuin/goldmark/..."}},
	{of: "jobspecs"},
	{of: "deploy"},
}

// cmdRooms is the directory of cmd/greenroom's rooms.
const cmdRooms = "cmd/greenroom/internal/"

// client is a library that only some may hold: those that speak to one server,
// and the web framework. Tests may, too.
type client struct {
	library string
	holders []string
}

var clients = []client{
	{"github.com/hashicorp/nomad/api/...", []string{"internal/nomadfleet", "internal/devcluster/...", "cmd/..."}},
	{"github.com/hashicorp/consul/api/...", []string{"internal/registry", "internal/consulhealth", "internal/baseline", "internal/devcluster/...", "cmd/..."}},
	{"github.com/redis/go-redis/...", []string{"internal/redisstore", "internal/baseline", "internal/devcluster/...", "cmd/..."}},
	{"github.com/gin-gonic/gin/...", []string{"broker/httpapi", "broker/web", "internal/baseline"}},
}

// arrowFindings reports every import that the rules do not allow, and every
// package that they do not know.
func arrowFindings(all []goPackage) []string {
	var findings []string
	for _, p := range all {
		r, ok := ruleFor(p.path())
		if !ok {
			findings = append(findings, p.path()+": is not in the table of arrows; add it to internal/lint/arrows.go")
			continue
		}
		for _, imp := range p.Imports {
			if why := r.forbids(p.path(), imp); why != "" {
				findings = append(findings, fmt.Sprintf("%s imports %s: %s", p.path(), imp, why))
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := r.forbidsInTests(p.path(), imp); why != "" {
				findings = append(findings, fmt.Sprintf("%s (its tests) imports %s: %s", p.path(), imp, why))
			}
		}
	}
	return findings
}

// ruleFor finds the rule with the longest pattern that matches.
func ruleFor(path string) (rule, bool) {
	var best rule
	for _, r := range rules {
		if matches(r.of, path) && len(r.of) > len(best.of) {
			best = r
		}
	}
	return best, best.of != ""
}

// forbids says why the package at path may not import imp, "" where it may.
func (r rule) forbids(path, imp string) string {
	if why := r.forbidsOurs(imp); why != "" {
		return why
	}
	if why := forbidsClient(path, imp); why != "" {
		return why
	}
	allowed := func(p string) bool { return p == anyLibrary || matches(p, imp) }
	if standard(imp) || ours(imp) || slices.ContainsFunc(r.libraries, allowed) {
		return ""
	}
	return "of other modules it may import " + list(r.libraries)
}

// forbidsInTests says the same of the package's tests.
func (r rule) forbidsInTests(path, imp string) string {
	self := imp == modulePath+"/"+path
	if self || !r.alone {
		return ""
	}
	if why := r.forbidsOurs(imp); why != "" {
		return why
	}
	return forbidsClient(path, imp)
}

func (r rule) forbidsOurs(imp string) string {
	sub := strings.TrimPrefix(imp, modulePath+"/")
	if !ours(imp) || slices.ContainsFunc(r.ours, func(p string) bool { return matches(p, sub) }) {
		return ""
	}
	return "arrows point down only; of our own it may import " + list(r.ours)
}

func forbidsClient(path, imp string) string {
	for _, c := range clients {
		if matches(c.library, imp) && !slices.ContainsFunc(c.holders, func(p string) bool { return matches(p, path) }) {
			return "this library belongs to " + list(c.holders)
		}
	}
	return ""
}

// matches reports whether path is the pattern's, or below it where the
// pattern ends in "/...".
func matches(pattern, path string) bool {
	dir, below := strings.CutSuffix(pattern, "/...")
	return path == dir || below && strings.HasPrefix(path, dir+"/")
}

// ours reports whether an import is a package of this module.
func ours(imp string) bool { return strings.HasPrefix(imp, modulePath+"/") }

// standard reports whether an import is the standard library's: only its
// paths begin with an element without a dot.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

func list(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, ", ")
}
