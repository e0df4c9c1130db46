package main

import (
	"fmt"
	"slices"
	"strings"
)

// rule lists what one package, or every package below one directory, may import
// besides the standard library.
type rule struct {
	// of is a package's path, or "dir/..." for dir and all below it. A package
	// follows the rule whose pattern is the longest match.
	of string
	// ours are patterns of this module's packages that it may import.
	ours []string
	// libraries are patterns of other modules' packages that it may import;
	// anyLibrary allows all of them except the libraries in clients.
	libraries []string
	// alone applies ours and clients to the package's tests, too. Other packages'
	// tests may import whatever they need for their setup.
	alone bool
}

const anyLibrary = "*"

// logs is the library for log lines.
const logs = "github.com/sirupsen/logrus"

// rules draw the design's arrows: they point down only, and only cmd joins
// logic and adapters. Every package must be in here.
var rules = []rule{
	{of: "cmd/...", ours: []string{"broker/...", "scaler/...", "internal/...", "jobspecs"}, libraries: []string{anyLibrary}},

	// The rooms of cmd/greenroom: main is a door, cli lists the commands, and only the
	// tests are above it.
	{of: "cmd/greenroom", ours: []string{cmdRooms + "cli"}},
	{of: cmdRooms + "cli", ours: []string{
		cmdRooms + "agent", cmdRooms + "bench", cmdRooms + "client", cmdRooms + "dev", cmdRooms + "doctor", cmdRooms + "exit", cmdRooms + "output", cmdRooms + "resources", cmdRooms + "simulation",
		"broker/httpapi", "broker/launch", "broker/refusal", "internal/staging", "internal/access", "internal/audittrail", "internal/buildinfo", "internal/config", "internal/nomadfleet",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "dev", ours: []string{
		cmdRooms + "agent", cmdRooms + "client", cmdRooms + "exit", cmdRooms + "resources",
		"broker/httpapi", "internal/staging", "internal/config", "internal/devcluster", "jobspecs",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "doctor", ours: []string{cmdRooms + "agent", cmdRooms + "exit", cmdRooms + "output", "internal/staging", "internal/config"}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "bench", ours: []string{
		cmdRooms + "agent", cmdRooms + "client", cmdRooms + "exit", cmdRooms + "output",
		"broker/httpapi", "broker/launch", "internal/staging", "internal/config", "internal/loadgen", "internal/baseline", "scaler/sizing/simulate",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "simulation", ours: []string{cmdRooms + "client", cmdRooms + "exit", cmdRooms + "output", "internal/staging", "scaler/sizing", "scaler/sizing/simulate"}, libraries: []string{"github.com/spf13/cobra", "github.com/ajstarks/svgo"}},
	{of: cmdRooms + "resources", ours: []string{
		cmdRooms + "client", cmdRooms + "exit", cmdRooms + "output", "broker/httpapi", "internal/buildinfo", "internal/staging",
	}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "client", ours: []string{cmdRooms + "exit", cmdRooms + "output", "broker/httpapi", "internal/staging", "internal/config"}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "agent", ours: []string{cmdRooms + "exit", "broker/...", "scaler/...", "internal/..."}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "output", ours: []string{cmdRooms + "exit"}, libraries: []string{"github.com/spf13/...", "go.yaml.in/..."}},
	{of: cmdRooms + "exit"},
	{of: cmdRooms + "clitest", ours: []string{cmdRooms + "cli", cmdRooms + "exit", "broker/...", "internal/staging", "internal/access"}, libraries: []string{anyLibrary}},
	{of: cmdRooms + "e2e/...", libraries: []string{anyLibrary}},

	// The two programs' logic: the vocabulary and interfaces of their own.
	{of: "broker", ours: []string{
		"broker/launch", "broker/sessions", "broker/admin", "broker/status", "broker/events", "broker/armed", "broker/audit",
		"broker/background", "broker/deadline", "broker/refusal",
		"internal/staging", "internal/logfield", "internal/access",
	}, libraries: []string{anyLibrary}},
	// The broker's rooms know each other's types only where one answers with another's.
	{of: "broker/refusal", ours: []string{"internal/staging"}},
	{of: "broker/deadline"},
	{of: "broker/background", libraries: []string{"golang.org/x/sync/errgroup"}},
	{of: "broker/launch", ours: []string{"internal/tracing", "broker/refusal", "broker/background", "broker/deadline", "internal/staging", "internal/logfield", "internal/access"}, libraries: []string{anyLibrary}},
	{of: "broker/sessions", ours: []string{"broker/refusal", "broker/deadline", "internal/staging", "internal/logfield", "internal/access"}, libraries: []string{logs, "golang.org/x/sync/errgroup", "golang.org/x/sync/singleflight"}},
	{of: "broker/events", ours: []string{"broker/refusal", "broker/deadline", "internal/staging"}, libraries: []string{logs}},
	{of: "broker/audit", ours: []string{"broker/background", "broker/deadline", "internal/staging", "internal/logfield", "internal/access", "internal/audittrail"}, libraries: []string{logs, "golang.org/x/time/rate"}},
	// How many sessions a pool wants is computed in one place, which is pure.
	{of: "broker/status", ours: []string{"scaler/sizing", "broker/refusal", "broker/deadline", "internal/staging", "internal/logfield", "internal/access"}, libraries: []string{logs}},
	{of: "broker/admin", ours: []string{"broker/audit", "broker/status", "broker/refusal", "broker/deadline", "internal/staging", "internal/access"}},
	{of: "broker/armed", ours: []string{"broker/background", "broker/deadline", "internal/staging", "internal/logfield"}, libraries: []string{logs}},
	{of: "broker/gateway", ours: []string{"broker/events", "broker/refusal", "broker/deadline", "internal/staging", "internal/logfield", "internal/access"}, libraries: []string{
		logs, "golang.org/x/sync/errgroup", "golang.org/x/sync/singleflight",
	}},
	{of: "broker/httpapi", ours: []string{
		"broker/launch", "broker/sessions", "broker/admin", "broker/status", "broker/events", "broker/gateway", "broker/refusal",
		"internal/staging", "internal/logfield", "internal/access", "internal/tracing",
	}, libraries: []string{anyLibrary}},
	// It calls the API, and uses the words of its answers.
	{of: "broker/kasmapi", ours: []string{"broker/httpapi", "internal/staging", "internal/access"}, libraries: []string{"github.com/oklog/ulid/...", "github.com/go-json-experiment/json/..."}},
	// It calls the API of other brokers, and uses the words of their answers.
	{of: "broker/peers", ours: []string{
		"broker/httpapi", "broker/launch", "broker/status", "broker/refusal", "broker/deadline", "internal/staging", "internal/logfield", "internal/access",
	}, libraries: []string{logs}},
	{of: "broker/httpapi/contracttest", libraries: []string{anyLibrary}},
	{of: "broker/web", libraries: []string{"github.com/gin-gonic/gin"}},
	{of: "scaler", ours: []string{"internal/staging", "internal/logfield", "scaler/sizing"}, libraries: []string{anyLibrary}},
	{of: "scaler/webhooks", ours: []string{"internal/staging", "internal/logfield"}, libraries: []string{logs}},
	{of: "scaler/sizing", ours: []string{"internal/staging"}, libraries: []string{"github.com/robfig/cron/...", "gonum.org/v1/gonum/..."}},
	{of: "scaler/sizing/simulate", ours: []string{"internal/staging", "scaler/sizing"}},
	{of: "scaler/sizing/simulate/table", ours: []string{"scaler/sizing/simulate"}},

	// The vocabulary.
	{of: "internal/staging", alone: true, libraries: []string{"github.com/oklog/ulid/...", "github.com/robfig/cron/..."}},

	{of: "internal/logfield", alone: true},

	{of: "internal/buildinfo", alone: true},

	// The records for auditors.
	{of: "internal/audittrail", ours: []string{"internal/staging"}, alone: true},

	// Who may do what.
	{of: "internal/access", ours: []string{"internal/staging"}, alone: true},

	// The adapters: one dependency each, and not one another.
	{of: "internal/registry", ours: []string{"internal/staging", "internal/access"}, libraries: []string{anyLibrary}},
	{of: "internal/consulhealth", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/poolboard", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/sessioncatalog", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/nomadfleet", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/redisstore", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	{of: "internal/issuer", ours: []string{"internal/access"}, libraries: []string{anyLibrary}},
	{of: "internal/issuer/issuertest", libraries: []string{anyLibrary}},
	{of: "internal/webhook", ours: []string{"internal/staging"}},
	{of: "internal/hook", ours: []string{"internal/staging"}, libraries: []string{anyLibrary}},
	// It counts by interfaces of its own, which are an adapter each.
	{of: "internal/quota", ours: []string{"internal/staging"}},
	{of: "internal/config", ours: []string{"internal/staging", "internal/access"}, libraries: []string{anyLibrary}},

	{of: "internal/tracing", libraries: []string{anyLibrary}},
	{of: "internal/tracing/tracingtest", libraries: []string{anyLibrary}},

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
	{of: "deploy/pack/generate", libraries: []string{"github.com/hashicorp/hcl/v2/..."}},
	{of: "deploy/regions"},
	{of: "deploy/upgrade"},
	{of: "deploy/failover"},
}

// cmdRooms is the directory of cmd/greenroom's rooms.
const cmdRooms = "cmd/greenroom/internal/"

// client is a library that only its holders may import: the clients of Nomad,
// Consul and Redis, and the web framework. Tests may import them, too.
type client struct {
	library string
	holders []string
}

var clients = []client{
	{"github.com/hashicorp/nomad/api/...", []string{"internal/nomadfleet", "internal/devcluster/...", "cmd/..."}},
	{"github.com/hashicorp/consul/api/...", []string{"internal/registry", "internal/consulhealth", "internal/poolboard", "internal/sessioncatalog", "internal/baseline", "internal/devcluster/...", "cmd/..."}},
	{"github.com/redis/go-redis/...", []string{"internal/redisstore", "internal/baseline", "internal/devcluster/...", "cmd/..."}},
	{"github.com/gin-gonic/gin/...", []string{"broker/httpapi", "broker/web", "internal/baseline"}},
}

// arrowFindings returns a finding for every import that the rules do not allow,
// for every package without a rule, and for every circle in the rules.
func arrowFindings(all []goPackage) []string {
	findings := circleFindings(rules)
	for _, p := range all {
		r, ok := ruleFor(rules, p.path())
		if !ok {
			findings = append(findings, p.path()+": has no rule for its imports; add it to internal/lint/arrows.go")
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

// circleFindings returns a finding for every circle that the rules allow, such as
// a -> b -> a. Go forbids circles of packages only: two directories could still
// depend on each other through different packages. A rule may allow its own pattern.
func circleFindings(table []rule) []string {
	var findings, path []string
	done := map[string]bool{}
	var visit func(r rule)
	visit = func(r rule) {
		if i := slices.Index(path, r.of); i >= 0 {
			findings = append(findings, "the rules allow a circle: "+strings.Join(append(slices.Clone(path[i:]), r.of), " -> "))
			return
		}
		if done[r.of] {
			return
		}
		path = append(path, r.of)
		for _, next := range allowedBy(table, r) {
			visit(next)
		}
		path = path[:len(path)-1]
		done[r.of] = true
	}
	for _, r := range table {
		visit(r)
	}
	return findings
}

// allowedBy returns the other rules whose packages r may import.
func allowedBy(table []rule, r rule) []rule {
	var allowed []rule
	for _, other := range table {
		if other.of != r.of && slices.ContainsFunc(r.ours, func(pattern string) bool {
			at, _ := ruleFor(table, strings.TrimSuffix(pattern, "/..."))
			return at.of == other.of || matches(pattern, strings.TrimSuffix(other.of, "/..."))
		}) {
			allowed = append(allowed, other)
		}
	}
	return allowed
}

// ruleFor returns the rule with the longest pattern that matches path.
func ruleFor(table []rule, path string) (rule, bool) {
	var best rule
	for _, r := range table {
		if matches(r.of, path) && len(r.of) > len(best.of) {
			best = r
		}
	}
	return best, best.of != ""
}

// forbids returns why the package at path may not import imp, or "" if it may.
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
	return "from other modules it may import: " + list(r.libraries)
}

// forbidsInTests returns why the tests of the package at path may not import imp,
// or "" if they may.
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

// forbidsOurs checks an import of this module's packages.
func (r rule) forbidsOurs(imp string) string {
	sub := strings.TrimPrefix(imp, modulePath+"/")
	if !ours(imp) || slices.ContainsFunc(r.ours, func(p string) bool { return matches(p, sub) }) {
		return ""
	}
	return "arrows point down only; from this module it may import: " + list(r.ours)
}

// forbidsClient checks an import of the libraries in clients.
func forbidsClient(path, imp string) string {
	for _, c := range clients {
		if matches(c.library, imp) && !slices.ContainsFunc(c.holders, func(p string) bool { return matches(p, path) }) {
			return "only these may import this library: " + list(c.holders)
		}
	}
	return ""
}

// matches reports whether path equals the pattern or, if the pattern ends in
// "/...", lies below it.
func matches(pattern, path string) bool {
	dir, below := strings.CutSuffix(pattern, "/...")
	return path == dir || below && strings.HasPrefix(path, dir+"/")
}

// ours reports whether imp is a package of this module.
func ours(imp string) bool { return strings.HasPrefix(imp, modulePath+"/") }

// standard reports whether imp belongs to the standard library: only its paths
// have no dot in their first element.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// list joins patterns for a finding.
func list(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, ", ")
}
