package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// alertRule is a rule of alerts.yaml.
type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// alertRules reads alerts.yaml.
func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alertRule
		}
	}
	decode(t, "alerts.yaml", &file)
	var rules []alertRule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// decode reads a YAML file, which may have no field that v lacks.
func decode(t *testing.T, name string, v any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := yaml.NewDecoder(f, yaml.Strict()).Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// alertCase is a test of alerts_test.yaml, which is in the format of promtool test rules.
type alertCase struct {
	Name     string
	Interval string
	Input    []struct{ Series, Values string } `yaml:"input_series"`
	Tests    []struct {
		At       string `yaml:"eval_time"`
		Alert    string `yaml:"alertname"`
		Expected []struct {
			Labels      map[string]string `yaml:"exp_labels"`
			Annotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// TestAlertsFireAndDoNot evaluates alerts.yaml against the series of alerts_test.yaml, with
// Prometheus's own engine and templates. Every alert has a case in which it fires and one in which
// it does not.
func TestAlertsFireAndDoNot(t *testing.T) {
	var file struct {
		RuleFiles []string `yaml:"rule_files"`
		Interval  string   `yaml:"evaluation_interval"`
		Tests     []alertCase
	}
	decode(t, "alerts_test.yaml", &file)
	rules := map[string]alertRule{}
	for _, r := range alertRules(t) {
		rules[r.Alert] = r
	}
	// By alert: whether a case expects it, and whether one expects that it does not fire.
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, c := range file.Tests {
		t.Run(c.Name, func(t *testing.T) {
			p := recorded(t, c)
			for _, x := range c.Tests {
				rule, ok := rules[x.Alert]
				if !ok {
					t.Fatalf("alerts.yaml has no alert %s", x.Alert)
				}
				var want []string
				for _, e := range x.Expected {
					want = append(want, alertText(e.Labels, e.Annotations))
				}
				got := p.firing(t, rule, duration(t, x.At), duration(t, file.Interval))
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%s, %s after the beginning, fires as:\n%s\nand should as:\n%s", x.Alert, x.At, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				fires[x.Alert] = fires[x.Alert] || len(want) > 0
				quiet[x.Alert] = quiet[x.Alert] || len(want) == 0 && len(c.Input) > 0
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if !fires[name] || !quiet[name] {
			t.Errorf("alerts_test.yaml lacks a case in which %s fires (%t), or one with series in which it does not (%t)", name, fires[name], quiet[name])
		}
	}
}

// alertText is an alert in words that compare.
func alertText(labels, annotations map[string]string) string {
	var b strings.Builder
	for _, m := range []map[string]string{labels, annotations} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "  %s: %s\n", k, m[k])
		}
	}
	return b.String()
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := model.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(d)
}

// prometheus is an engine with recorded series.
type prometheus struct {
	engine *promql.Engine
	series recording
}

// recorded returns a Prometheus that has the series of a case.
func recorded(t *testing.T, c alertCase) prometheus {
	t.Helper()
	parse := parser.NewParser(parser.Options{})
	p := prometheus{engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: patience, EnableAtModifier: true, EnableNegativeOffset: true, Parser: parse,
	})}
	t.Cleanup(func() { p.engine.Close() })
	step := duration(t, c.Interval)
	for _, in := range c.Input {
		of, values, err := parse.ParseSeriesDesc(in.Series + " " + in.Values)
		if err != nil {
			t.Fatalf("%s: %v", in.Series, err)
		}
		var samples []chunks.Sample
		for i, v := range values {
			if !v.Omitted {
				samples = append(samples, sample{time.Duration(i) * step, v.Value})
			}
		}
		p.series = append(p.series, storage.NewListSeries(of, samples))
	}
	return p
}

// firing evaluates a rule from the beginning until a time, as Prometheus does, and returns the
// alerts that fire then.
func (p prometheus) firing(t *testing.T, r alertRule, until, interval time.Duration) (alerts []string) {
	t.Helper()
	hold := duration(t, r.For)
	active := map[string]time.Duration{} // by labels: since when
	for at := time.Duration(0); at <= until; at += interval {
		now := map[string]time.Duration{}
		alerts = nil
		for _, s := range p.query(t, r.Expr, at) {
			key := s.Metric.MatchLabels(false, model.MetricNameLabel)
			since, known := active[key.String()]
			if !known {
				since = at
			}
			now[key.String()] = since
			if at-since >= hold {
				alerts = append(alerts, p.words(t, r, key, s, at))
			}
		}
		active = now
	}
	slices.Sort(alerts)
	return alerts
}

func (p prometheus) query(t *testing.T, expr string, at time.Duration) promql.Vector {
	t.Helper()
	q, err := p.engine.NewInstantQuery(t.Context(), p.series, nil, expr, time.UnixMilli(0).Add(at))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	v, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(v)
}

// words returns an alert as its receiver reads it.
func (p prometheus) words(t *testing.T, r alertRule, of labels.Labels, s promql.Sample, at time.Duration) string {
	t.Helper()
	data := template.AlertTemplateData(of.Map(), nil, "", s)
	expand := func(text string) string {
		const names = "{{$labels := .Labels}}{{$value := .Value}}"
		out, err := template.NewTemplateExpander(t.Context(), names+text, r.Alert, data, model.Time(at.Milliseconds()), nil, nil, []string{"missingkey=error"}).Expand()
		if err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
		return out
	}
	all, notes := of.Map(), map[string]string{}
	for k, v := range r.Labels {
		all[k] = expand(v)
	}
	for k, v := range r.Annotations {
		notes[k] = expand(v)
	}
	return alertText(all, notes)
}

// recording is series in memory.
type recording []*storage.SeriesEntry

// Querier implements storage.Queryable.
func (r recording) Querier(_, _ int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		return &selection{SeriesSet: storage.EmptySeriesSet(), left: slices.DeleteFunc(slices.Clone(r), func(s *storage.SeriesEntry) bool {
			return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Lset.Get(m.Name)) })
		})}
	}}, nil
}

// selection is the series that a query selects.
type selection struct {
	storage.SeriesSet
	current *storage.SeriesEntry
	left    recording
}

// Next implements storage.SeriesSet.
func (s *selection) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.current, s.left = s.left[0], s.left[1:]
	return true
}

// At implements storage.SeriesSet.
func (s *selection) At() storage.Series { return s.current }

// sample is a number at a time.
type sample struct {
	at    time.Duration
	value float64
}

// T implements chunks.Sample, as the others do.
func (s sample) T() int64                      { return s.at.Milliseconds() }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
