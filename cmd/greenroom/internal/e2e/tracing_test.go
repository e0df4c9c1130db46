package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing/tracingtest"
)

// callersSpan is the span of the callers whose launches are traced.
const callersSpan = "00f067aa0ba902b7"

// within returns the header by which a call is within a trace.
func within(trace string) []string {
	return []string{"traceparent", "00-" + trace + "-" + callersSpan + "-01"}
}

// TestALaunchIsATrace: a real broker exports to a collector a span for each part of a staged launch and
// of one on demand, below the caller's, and Consul's calls below those. Its log has the trace's id. What
// was not exported is when the broker stops. A collector that is away slows no launch, and is in the log once.
func TestALaunchIsATrace(t *testing.T) {
	collector := tracingtest.New(t)
	c, d := startServers(t, []string{"dc1"}, "--tracing-endpoint", collector.URL)
	startAgent(t, c, "scaler")
	image := quickImage("traced")
	d.ask(t, "PUT", "/v1/images/traced", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/traced", staging.Config{Zone: "east", Image: "traced", DesiredSessions: 2}, 201, nil)
	fresh := quickImage("fresh")
	fresh.ExecConfig.FirstLaunch = &staging.Hook{Cmd: demo("first-launch")}
	d.ask(t, "PUT", "/v1/images/fresh", fresh, 201, nil)
	d.untilReady(t, "traced", 2)

	const ofStaged, ofOnDemand, ofLast = "4bf92f3577b34da6a3ce929d0e0e4731", "4bf92f3577b34da6a3ce929d0e0e4732", "4bf92f3577b34da6a3ce929d0e0e4733"
	parts := func(s tracingtest.Span) bool { return !strings.HasPrefix(s.Name, "consul ") }
	trees := map[string]string{
		ofStaged:   "POST /v1/sessions(launch(resolve claim fence hook finish))",
		ofOnDemand: "POST /v1/sessions(launch(resolve on_demand(claim fence register place start check hook)))",
	}
	var staged, onDemand launched
	d.ask(t, "POST", "/v1/sessions", launch("traced", "east", "tess"), 201, &staged, within(ofStaged)...)
	d.ask(t, "POST", "/v1/sessions?wait=60s", launch("fresh", "east", "tim"), 201, &onDemand, within(ofOnDemand)...)
	for trace, tree := range trees {
		got := ""
		until(t, "the collector has the trace of the launch", func() (bool, string) {
			got = tracingtest.Tree(collector.Of(trace), callersSpan, parts)
			return got != "", ""
		})
		if got != tree {
			t.Errorf("the trace is\n%s, want\n%s", got, tree)
		}
		if log := d.agent.Log.String(); strings.Count(log, "trace_id="+trace) == 0 {
			t.Errorf("the log does not have the trace %s", trace)
		}
	}
	names := map[string]tracingtest.Span{}
	for _, s := range collector.Of(ofStaged) {
		if s.Service != "greenroom-broker" {
			t.Errorf("span %s is of service %q", s.Name, s.Service)
		}
		names[s.Name] = s
	}
	if s := names["launch"]; staged.Origin != "staged" || s.Attribute("greenroom.session") != staged.ID || s.Attribute("greenroom.origin") != "staged" {
		t.Errorf("the launch of %s has the span %v", staged.ID, s.Attributes)
	}
	if s := names["hook"]; s.Attribute("greenroom.hook") != "assign" {
		t.Errorf("the hook has the span %v", s.Attributes)
	}
	if s := names["POST /v1/sessions"]; s.Attribute("http.response.status_code") != "201" || s.Attribute("http.route") != "/v1/sessions" {
		t.Errorf("the request has the span %v", s.Attributes)
	}
	if s := names["consul PUT"]; s.Parent() != names["fence"].ID() && s.Parent() != names["finish"].ID() {
		t.Errorf("a write to Consul is no part of the fence: %v", s)
	}

	d.ask(t, "POST", "/v1/sessions", launch("traced", "east", "uma"), 201, nil, within(ofLast)...)
	d.agent.End(t, syscall.SIGTERM)
	if got := tracingtest.Tree(collector.Of(ofLast), callersSpan, parts); got != trees[ofStaged] {
		t.Errorf("after the broker's end the trace is %q", got)
	}

	alone := at(d, startAgent(t, c, "broker", "--tracing-endpoint", "http://127.0.0.1:1"))
	alone.untilReady(t, "traced", 2)
	for _, user := range []string{"vic", "wes"} {
		alone.ask(t, "POST", "/v1/sessions", launch("traced", "east", user), 201, nil)
	}
	const said = "does not take spans"
	until(t, "the log says that the collector is away", func() (bool, string) { return strings.Contains(alone.agent.Log.String(), said), "" })
	for range 3 {
		alone.ask(t, "GET", "/v1/sessions", nil, 200, nil)
	}
	alone.agent.End(t, syscall.SIGTERM)
	if log := alone.agent.Log.String(); strings.Count(log, said) != 1 {
		t.Errorf("it says so %d times:\n%s", strings.Count(log, said), log)
	}
}
