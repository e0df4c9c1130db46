package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

// family is a metric as agents export it.
type family struct {
	agents map[string]bool
	kind   string
	help   string
	// labels has all exported values of each label.
	labels map[string]map[string]bool
}

// exported reads greenroom's own metrics from the agents, and from those that are secured by TLS.
func exported(t *testing.T, agents map[string]string, secured securedAgents) map[string]*family {
	t.Helper()
	all := map[string]*family{}
	scrape := func(client *http.Client, agent, address string) {
		res, err := client.Get(address + "/metrics")
		must(t, err)
		p := expfmt.NewTextParser(model.UTF8Validation)
		found, err := p.TextToMetricFamilies(res.Body)
		must(t, err)
		must(t, res.Body.Close())
		for name, f := range found {
			if !strings.HasPrefix(name, "greenroom_") {
				continue
			}
			if all[name] == nil {
				all[name] = &family{agents: map[string]bool{}, labels: map[string]map[string]bool{}}
			}
			x := all[name]
			x.agents[agent], x.kind, x.help = true, strings.ToLower(f.GetType().String()), f.GetHelp()
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					x.see(l.GetName(), l.GetValue())
				}
				if f.GetType() == dto.MetricType_HISTOGRAM {
					x.see("le", "")
				}
			}
		}
	}
	for agent, address := range agents {
		scrape(http.DefaultClient, agent, address)
	}
	for agent, address := range secured.addresses {
		scrape(secured.client, agent, address)
	}
	return all
}

// securedAgents are agents that serve or show certificates, by their kinds, and a client that trusts them.
type securedAgents struct {
	addresses map[string]string
	client    *http.Client
}

// secured starts an agent of each kind with a certificate, which the shared ones have not.
func (d *devProcess) secured(t *testing.T) securedAgents {
	t.Helper()
	a := devtest.NewAuthority(t)
	a.Issue("agent", 7)
	pair := []string{a.File("agent.pem"), a.File("agent.key")}
	c := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://")}
	broker := startAgent(t, c, "broker", "--tls-cert", pair[0], "--tls-key", pair[1])
	gateway := startAgent(t, c, "gateway", "--gateway-tls-cert", pair[0], "--gateway-tls-key", pair[1])
	scaler := startAgent(t, c, "scaler", "--consul-client-cert", pair[0], "--consul-client-key", pair[1])
	transport := &http.Transport{TLSClientConfig: a.Trust()}
	t.Cleanup(transport.CloseIdleConnections)
	return securedAgents{
		addresses: map[string]string{"broker": "https://" + broker.Address, "gateway": "https://" + gateway.Address, "scaler": "http://" + scaler.Address},
		client:    &http.Client{Transport: transport},
	}
}

func (f *family) see(label, value string) {
	if f.labels[label] == nil {
		f.labels[label] = map[string]bool{}
	}
	f.labels[label][value] = true
}

// something causes rare events, so that every metric has a series.
func (d *devProcess) something(t *testing.T) {
	t.Helper()
	d.group(t, staging.Group{Name: "with-keys", InjectSSHKeys: new(true)})
	d.stage(t, quickImage("metered"), 1)
	off := quickImage("metered-off")
	off.Enabled = new(bool)
	d.stage(t, off, 1)
	d.untilReady(t, "metered", 1)
	d.ask(t, "POST", "/v1/sessions", launch("metered", "east", "bob"), 201, nil)
	body := launch("metered", "east", "carol")
	body["groups"] = []string{"with-keys"}
	d.ask(t, "POST", "/v1/sessions?wait=60s", body, 201, nil)
	d.untilCondition(t, "metered-off", staging.ImageDisabled, "disabled")
	d.ask(t, "PUT", "/v1/webhooks/metered", staging.Webhook{URL: "http://127.0.0.1:1/", Secret: webhookSecret}, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/webhooks/metered", nil, 204, nil) })
	until(t, "the sender has its series", func() (bool, string) {
		text := get(t, d.scaler(t)+"/metrics")
		return strings.Contains(text, `greenroom_webhook_lag_seconds{webhook="metered"}`), "none"
	})
}

// brokerWithPeer starts another broker, which has a peer, and returns its URL.
func (d *devProcess) brokerWithPeer(t *testing.T) string {
	t.Helper()
	b := agenttest.Start(t, filepath.Join(bin, "greenroom"), "broker",
		"--nomad-address", d.Nomad, "--consul-address", d.Consul, "--redis-address", d.Redis, "--peer", "west="+d.Broker)
	return "http://" + b.Address
}

// agents returns the URLs of the shared agents by their names.
func (d *devProcess) agents(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"broker": d.Broker, "scaler": d.scaler(t), "gateway": d.Gateway}
}

// TestMetricsAreAsDocumented: the table in deploy/README.md lists what brokers, scalers
// and gateways export, the dashboard and the alerts query nothing else, and labels are bounded.
func TestMetricsAreAsDocumented(t *testing.T) {
	d := sharedDev(t)
	d.something(t)
	all := exported(t, d.agents(t), d.secured(t))
	for name, f := range exported(t, map[string]string{"broker": d.brokerWithPeer(t)}, securedAgents{}) {
		if all[name] == nil {
			all[name] = f
		}
	}
	t.Run("the table", func(t *testing.T) {
		text, err := os.ReadFile("../../../../deploy/README.md")
		must(t, err)
		var want []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			want = append(want, all[name].row(name))
		}
		var have []string
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| `greenroom_") {
				have = append(have, strings.TrimSpace(line))
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("the table of metrics should be:\n%s\nand is:\n%s", strings.Join(want, "\n"), strings.Join(have, "\n"))
		}
	})
	t.Run("bounded labels", func(t *testing.T) {
		for name, f := range all {
			for label, values := range f.labels {
				for v := range values {
					if strings.HasPrefix(v, staging.SessionPrefix) || strings.HasPrefix(v, "u-") {
						t.Errorf("%s{%s=%q}: a series for each session or user", name, label, v)
					}
				}
			}
		}
	})
	t.Run("the alerts", func(t *testing.T) {
		var file struct {
			Groups []struct {
				Name  string
				Rules []struct {
					Alert, Expr, For    string
					Labels, Annotations map[string]string
				}
			}
		}
		f, err := os.Open("../../../../deploy/alerts.yaml")
		must(t, err)
		defer f.Close()
		must(t, yaml.NewDecoder(f, yaml.Strict()).Decode(&file))
		// Prometheus makes this one itself, with the job that the example in deploy/README.md gives it.
		seen := maps.Clone(all)
		seen["up"] = &family{kind: "gauge", labels: map[string]map[string]bool{"job": {"greenroom-broker": true}}}
		asked := 0
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				by := holds(t, r.Alert, r.Expr, seen)
				asked++
				if _, err := model.ParseDuration(r.For); err != nil || r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
					t.Errorf("%+v: %v", r, err)
				}
				for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(fmt.Sprint(r.Annotations), -1) {
					if !slices.Contains(by, m[1]) && m[1] != instance {
						t.Errorf("%s: its words name the label %s, which its result has not", r.Alert, m[1])
					}
				}
			}
		}
		if asked < 10 {
			t.Errorf("only %d alerts: this test no longer reads them", asked)
		}
	})
	t.Run("the dashboard", func(t *testing.T) {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, LegendFormat string }
			}
			Templating struct {
				List []struct{ Name, Type, Query string }
			}
		}
		text, err := os.ReadFile("../../../../deploy/grafana-dashboard.json")
		must(t, err)
		must(t, json.Unmarshal(text, &board))
		asked := 0
		variables := map[string]bool{}
		for _, v := range board.Templating.List {
			variables[v.Name] = true
			if m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Query); v.Type == "query" {
				if m == nil || all[m[1]] == nil || all[m[1]].labels[m[2]] == nil {
					t.Errorf("variable %s: %s", v.Name, v.Query)
				}
			}
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
				for v := range variables {
					expr = strings.ReplaceAll(expr, "$"+v, ".*")
				}
				by := holds(t, p.Title, expr, all)
				asked++
				for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
					if !slices.Contains(by, m[1]) {
						t.Errorf("%s: its legend names the label %s, which its result has not", p.Title, m[1])
					}
				}
			}
		}
		if asked < 20 {
			t.Errorf("only %d queries: this test no longer reads them", asked)
		}
	})
	t.Run("the check itself", func(t *testing.T) {
		for _, wrong := range []string{
			`greenroom_no_such_metric`, `greenroom_pool_sessions{pool="x"}`, `greenroom_pool_sessions{count="wanted"}`,
			`sum by (pool) (greenroom_pool_sessions)`, `sum(rate(greenroom_pool_sessions_count[5m]))`,
		} {
			if len(wrongs(wrong, all)) == 0 {
				t.Errorf("%s passes", wrong)
			}
		}
	})
}

// instance is the label that Prometheus adds to what it scrapes: the agent's address.
const instance = "instance"

// row returns a metric's row in the table.
func (f *family) row(name string) string {
	var names []string
	for _, l := range slices.Sorted(maps.Keys(f.labels)) {
		if l != "le" {
			names = append(names, "`"+l+"`")
		}
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |", name, strings.Join(slices.Sorted(maps.Keys(f.agents)), ", "), f.kind, strings.Join(names, ", "), f.help)
}

// holds reports every part of a query that no agent exports, and returns the labels of the
// query's result.
func holds(t *testing.T, of, query string, all map[string]*family) []string {
	t.Helper()
	for _, w := range wrongs(query, all) {
		t.Errorf("%s: %s: %s", of, query, w)
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return nil
	}
	var by []string
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		switch x := n.(type) {
		case *parser.AggregateExpr:
			by = append(by, x.Grouping...)
		case *parser.VectorSelector:
			// Without an aggregation, the result keeps the labels.
			if !slices.ContainsFunc(path, func(p parser.Node) bool { _, ok := p.(*parser.AggregateExpr); return ok }) {
				if f := familyOf(x.Name, all); f != nil {
					by = append(by, slices.Collect(maps.Keys(f.labels))...)
				}
			}
		}
		return nil
	})
	return by
}

// wrongs returns the metrics and labels of a query that no agent exports.
func wrongs(query string, all map[string]*family) (found []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch x := n.(type) {
		case *parser.VectorSelector:
			f := familyOf(x.Name, all)
			if f == nil {
				found = append(found, "no agent has "+x.Name)
				return nil
			}
			for _, m := range x.LabelMatchers {
				if m.Name == model.MetricNameLabel {
					continue
				}
				seen := slices.Collect(maps.Keys(f.labels[m.Name]))
				if m.Name == "condition" {
					// These take a node on which an image fails, half a minute of a failing check, and a
					// new revision that does not get on.
					seen = append(seen, string(staging.NodeFailing), string(staging.HealthCheckFailing), string(staging.RolloutStuck))
				}
				if !slices.ContainsFunc(seen, m.Matches) {
					found = append(found, fmt.Sprintf("no series of %s is %s; seen: %q", x.Name, m, seen))
				}
			}
		case *parser.AggregateExpr:
			for _, label := range x.Grouping {
				parser.Inspect(x.Expr, func(n parser.Node, _ []parser.Node) error {
					if s, ok := n.(*parser.VectorSelector); ok {
						if f := familyOf(s.Name, all); f != nil && f.labels[label] == nil {
							found = append(found, fmt.Sprintf("%s has no label %s", s.Name, label))
						}
					}
					return nil
				})
			}
		}
		return nil
	})
	return found
}

// familyOf returns the family of a series.
func familyOf(series string, all map[string]*family) *family {
	if f := all[series]; f != nil && f.kind != "histogram" {
		return f
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(series, suffix); ok && all[base] != nil && all[base].kind == "histogram" {
			return all[base]
		}
	}
	return nil
}
