package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// newMetrics returns a registry with the process's own metrics.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// brokerMeter counts launches.
type brokerMeter struct {
	attempts   *prometheus.CounterVec
	violations *prometheus.CounterVec
	launches   *prometheus.HistogramVec
	// withoutRedis counts what was served while Redis was away.
	withoutRedis prometheus.Counter
	hooks        *prometheus.CounterVec
	hookFailures *prometheus.CounterVec
	refused      *prometheus.CounterVec
	registry     *prometheus.Registry
}

func newBrokerMeter(r *prometheus.Registry) *brokerMeter {
	m := &brokerMeter{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_launch_attempts_total",
			Help: "Steps of launches that were tried, by step (existing, staged, on_demand) and outcome.",
		}, []string{"step", "outcome"}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_violations_total",
			Help: "Launches with a setting that no staged session can honour, by setting and kind (image, group, permission).",
		}, []string{"setting", "kind"}),
		launches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "greenroom_launch_duration_seconds",
			Help:    "Time from a launch's arrival to its assigned session, by the session's origin.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 17),
		}, []string{"origin"}),
	}
	m.withoutRedis = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "greenroom_launches_without_redis_total",
		Help: "Launches that were served a staged session by Consul's word, while Redis did not answer or no scaler vouched for it.",
	})
	m.hooks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_assign_hooks_total",
		Help: "Assign hooks that were run, by whether a shell waited in the session (armed) or had to be opened (opened).",
	}, []string{"shell"})
	m.hookFailures = newHookFailures()
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_launches_refused_total",
		Help: "Launches that were begun and got no session, by the code of the answer.",
	}, []string{"code"})
	m.registry = r
	r.MustRegister(m.attempts, m.violations, m.launches, m.withoutRedis, m.hooks, m.hookFailures, m.refused)
	m.begin()
	return m
}

// begin has every series that can be known ahead there from the start: a rate of one
// that begins with its first event does not see that event.
func (m *brokerMeter) begin() {
	for _, step := range []staging.Step{staging.StepExisting, staging.StepStaged, staging.StepOnDemand} {
		for _, outcome := range staging.Outcomes {
			m.attempts.WithLabelValues(string(step), string(outcome))
		}
	}
	for _, origin := range []staging.Origin{staging.Staged, staging.OnDemand} {
		m.launches.WithLabelValues(string(origin))
	}
	for _, shell := range []string{shellArmed, shellOpened} {
		m.hooks.WithLabelValues(shell)
	}
	for _, hook := range []staging.HookName{staging.HookAssign, staging.HookFirstLaunch, staging.HookGo} {
		m.hookFailures.WithLabelValues(string(hook))
	}
	for _, code := range refusal.LaunchRefusals {
		m.refused.WithLabelValues(string(code))
	}
}

// newHookFailures is a metric that both agents have.
func newHookFailures() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_hook_failures_total",
		Help: "Hooks that failed in sessions, by hook (first_launch, assign, go). Both agents run first_launch.",
	}, []string{"hook"})
}

// dependencies has the servers asked whether they answer whenever metrics are read.
func (m *brokerMeter) dependencies(ask func(context.Context) []status.Dependency) {
	m.registry.MustRegister(dependencyCollector{
		up: prometheus.NewDesc("greenroom_dependency_up",
			"1 while the server answers this broker, else 0, by dependency (consul, nomad, redis).", []string{"dependency"}, nil),
		ask: ask,
	})
}

// dependencyCollector asks at most once a second, as the broker's readiness does.
type dependencyCollector struct {
	up  *prometheus.Desc
	ask func(context.Context) []status.Dependency
}

// Describe implements prometheus.Collector.
func (c dependencyCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.up }

// Collect implements prometheus.Collector. What it asks has a deadline of its own.
func (c dependencyCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, d := range c.ask(context.Background()) {
		up := 1.0
		if d.Problem != "" {
			up = 0
		}
		metrics <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, d.Name)
	}
}

// shells has the shells that wait in sessions counted.
func (m *brokerMeter) shells(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_armed_shells",
		Help: "Shells that wait in ready sessions for an assign hook. Each holds a connection to Nomad.",
	}, func() float64 { return float64(count()) }))
}

// The shells that an assign hook may have.
const (
	shellArmed  = "armed"
	shellOpened = "opened"
)

// hook counts an assign hook.
func (m *brokerMeter) hook(armed bool) {
	m.hooks.WithLabelValues(map[bool]string{true: shellArmed, false: shellOpened}[armed]).Inc()
}

// HookFailed implements broker.Meter.
func (m *brokerMeter) HookFailed(name staging.HookName) {
	m.hookFailures.WithLabelValues(string(name)).Inc()
}

// Refused implements broker.Meter.
func (m *brokerMeter) Refused(why refusal.Kind) { m.refused.WithLabelValues(string(why)).Inc() }

// Attempt implements broker.Meter.
func (m *brokerMeter) Attempt(step staging.Step, outcome staging.Outcome) {
	m.attempts.WithLabelValues(string(step), string(outcome)).Inc()
}

// WithoutRedis implements broker.Meter.
func (m *brokerMeter) WithoutRedis() { m.withoutRedis.Inc() }

// Violation implements broker.Meter.
func (m *brokerMeter) Violation(v staging.Violation) {
	m.violations.WithLabelValues(v.Setting, v.Kind).Inc()
}

// Launched implements broker.Meter.
func (m *brokerMeter) Launched(origin staging.Origin, t staging.Timings) {
	m.launches.WithLabelValues(string(origin)).Observe(t.Total.Seconds())
}

// readyPoll is how often something that must come true is looked at.
const readyPoll = 100 * time.Millisecond
