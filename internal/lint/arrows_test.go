package main

import (
	"slices"
	"strings"
	"testing"
)

func own(path string) string { return modulePath + "/" + path }

// Each case is an invented package with one import that the design forbids.
func TestEachForbiddenArrowIsFound(t *testing.T) {
	const (
		nomad  = "github.com/hashicorp/nomad/api"
		consul = "github.com/hashicorp/consul/api"
		watch  = "github.com/hashicorp/consul/api/watch"
		redis  = "github.com/redis/go-redis/v9"
		gin    = "github.com/gin-gonic/gin"
	)
	for _, c := range []struct{ from, to string }{
		{"internal/staging", own("broker")},
		{"internal/staging", own("internal/registry")},
		{"internal/staging", "github.com/sirupsen/logrus"},
		{"internal/registry", own("internal/redisstore")},
		{"internal/registry", own("broker")},
		{"internal/registry", nomad},
		{"internal/registry", redis},
		{"internal/consulhealth", own("internal/registry")},
		{"internal/consulhealth", own("scaler")},
		{"internal/nomadfleet", own("internal/hook")},
		{"internal/nomadfleet", own("internal/config")},
		{"internal/nomadfleet", consul},
		{"internal/redisstore", own("scaler/sizing")},
		{"internal/redisstore", consul},
		{"internal/hook", own("internal/nomadfleet")},
		{"internal/hook", nomad},
		{"internal/hook", own("cmd/greenroom")},
		{"internal/config", own("internal/registry")},
		{"internal/registry", own("internal/devcluster")},
		{"internal/registry", own("jobspecs")},
		{"internal/devcluster", own("broker")},
		{"broker", own("internal/redisstore")},
		{"broker", own("scaler")},
		{"broker", own("broker/httpapi")},
		{"broker", own("internal/devcluster")},
		{"broker", nomad},
		{"broker", watch},
		{"broker", redis},
		{"broker", gin},
		{"broker/httpapi", own("internal/registry")},
		{"broker/httpapi", own("broker/web")},
		{"broker/httpapi", own("broker")},
		{"broker/sessions", own("broker")},
		{"broker/sessions", own("broker/admin")},
		{"broker/status", own("broker/admin")},
		{"broker/launch", own("broker/sessions")},
		{"broker/web", own("broker/httpapi")},
		{"scaler", own("internal/nomadfleet")},
		{"scaler", own("broker")},
		{"scaler", consul},
		{"scaler", gin},
		{"scaler/sizing", own("scaler")},
		{"scaler/sizing", "github.com/sirupsen/logrus"},
		{"jobspecs", own("internal/staging")},
		{"deploy", own("internal/devcluster")},
		{"cmd/greenroom", own("broker")},
		{"cmd/greenroom", own("cmd/greenroom/internal/agent")},
		{"cmd/greenroom", gin},
		{"cmd/greenroom/internal/agent", own("cmd/greenroom/internal/cli")},
		{"cmd/greenroom/internal/agent", own("cmd/greenroom/internal/client")},
		{"cmd/greenroom/internal/agent", own("deploy")},
		{"cmd/greenroom/internal/bench", own("cmd/greenroom/internal/cli")},
		{"cmd/greenroom/internal/cli", own("internal/registry")},
		{"cmd/greenroom/internal/cli", own("cmd/greenroom/internal/e2e")},
		{"cmd/greenroom/internal/client", own("cmd/greenroom/internal/cli")},
		{"cmd/greenroom/internal/client", own("broker")},
		{"cmd/demo-session", own("deploy")},
	} {
		t.Run(c.from+" to "+strings.TrimPrefix(c.to, modulePath+"/"), func(t *testing.T) {
			found := arrowFindings([]goPackage{{ImportPath: own(c.from), Imports: []string{"fmt", c.to}}})
			if len(found) != 1 || !strings.HasPrefix(found[0], c.from+" imports "+c.to+": ") {
				t.Errorf("want one finding about this import, got %q", found)
			}
		})
	}
}

func TestAllowedArrowsAreNotFound(t *testing.T) {
	found := arrowFindings([]goPackage{
		{ImportPath: own("cmd/greenroom"), Imports: []string{own("cmd/greenroom/internal/cli")}},
		{ImportPath: own("cmd/greenroom/internal/agent"), Imports: []string{
			own("broker"), own("broker/httpapi"), own("scaler"), own("internal/staging"), own("internal/registry"),
			"github.com/hashicorp/nomad/api", "github.com/spf13/cobra",
		}},
		{ImportPath: own("cmd/greenroom/internal/dev"), Imports: []string{
			own("cmd/greenroom/internal/agent"), own("internal/devcluster"), own("jobspecs"), "github.com/hashicorp/consul/api",
		}},
		{ImportPath: own("broker"), Imports: []string{own("broker/admin"), own("internal/staging"), "github.com/sirupsen/logrus"}},
		{ImportPath: own("broker/httpapi"), Imports: []string{own("broker/sessions"), own("internal/staging"), "github.com/gin-gonic/gin"}},
		{ImportPath: own("scaler"), Imports: []string{own("scaler/sizing"), own("internal/staging")}},
		{ImportPath: own("scaler/sizing"), Imports: []string{own("internal/staging"), "github.com/robfig/cron/v3"}},
		{ImportPath: own("internal/nomadfleet"), Imports: []string{own("internal/staging"), "github.com/hashicorp/nomad/api"}},
		{ImportPath: own("internal/registry"), Imports: []string{own("internal/staging"), "github.com/hashicorp/consul/api"}},
		{ImportPath: own("internal/redisstore"), Imports: []string{own("internal/staging"), "github.com/redis/go-redis/v9"}},
		{ImportPath: own("internal/devcluster/devtest"), Imports: []string{own("internal/devcluster"), "github.com/hashicorp/consul/api"}},
	})
	if len(found) > 0 {
		t.Errorf("want none, got %q", found)
	}
}

func TestTestsMayImportMore(t *testing.T) {
	found := arrowFindings([]goPackage{{
		ImportPath:   own("broker"),
		TestImports:  []string{own("internal/devcluster"), "github.com/redis/go-redis/v9"},
		XTestImports: []string{own("broker"), own("jobspecs"), own("internal/registry")},
	}})
	if len(found) > 0 {
		t.Errorf("want none, got %q", found)
	}
}

func TestTheVocabularysTestsStandAlone(t *testing.T) {
	found := arrowFindings([]goPackage{{
		ImportPath:   own("internal/staging"),
		TestImports:  []string{"pgregory.net/rapid", own("internal/devcluster")},
		XTestImports: []string{own("internal/staging"), "github.com/redis/go-redis/v9"},
	}})
	if len(found) != 2 || !strings.Contains(found[0], "devcluster") || !strings.Contains(found[1], "go-redis") {
		t.Errorf("want findings about devcluster and go-redis, got %q", found)
	}
}

func TestAnUnknownPackageIsFound(t *testing.T) {
	for _, path := range []string{"internal/newcomer", "broker/other", "internal/staging/sub", "scalers"} {
		found := arrowFindings([]goPackage{{ImportPath: own(path)}})
		if len(found) != 1 || !strings.Contains(found[0], "add it to") {
			t.Errorf("%s: want a finding that asks for a rule, got %q", path, found)
		}
	}
}

// Only circles between different rules are findings: a rule may allow its own pattern,
// and two rules may allow the same third one.
func TestACircleInTheRulesIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		table []rule
		want  []string
	}{
		"none": {[]rule{
			{of: "a/...", ours: []string{"a/...", "b", "c/d"}},
			{of: "b", ours: []string{"c/..."}},
			{of: "c/..."},
			{of: "c/d"},
		}, nil},
		"two": {
			[]rule{{of: "a", ours: []string{"b"}}, {of: "b", ours: []string{"a"}}},
			[]string{"the rules allow a circle: a -> b -> a"},
		},
		"through a third": {
			[]rule{{of: "top", ours: []string{"a"}}, {of: "a", ours: []string{"b"}}, {of: "b", ours: []string{"c"}}, {of: "c", ours: []string{"a"}}},
			[]string{"the rules allow a circle: a -> b -> c -> a"},
		},
		"a pattern allows a package below it": {
			[]rule{{of: "a", ours: []string{"b/..."}}, {of: "b/c", ours: []string{"a"}}},
			[]string{"the rules allow a circle: a -> b/c -> a"},
		},
		"a package follows the rule of the directory above": {
			[]rule{{of: "a", ours: []string{"b/c"}}, {of: "b/...", ours: []string{"a"}}},
			[]string{"the rules allow a circle: a -> b/... -> a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func(old []rule) { rules = old }(rules)
			rules = c.table
			if found := arrowFindings(nil); !slices.Equal(found, c.want) {
				t.Errorf("want %q, got %q", c.want, found)
			}
		})
	}
}

func TestRulesNameEachPatternOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.of] {
			t.Errorf("%s is in the table twice", r.of)
		}
		seen[r.of] = true
	}
}
