package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler"
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
	m.registry = r
	r.MustRegister(m.attempts, m.violations, m.launches, m.withoutRedis, m.hooks)
	return m
}

// shells has the shells that wait in sessions counted.
func (m *brokerMeter) shells(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_armed_shells",
		Help: "Shells that wait in ready sessions for an assign hook. Each holds a connection to Nomad.",
	}, func() float64 { return float64(count()) }))
}

// hook counts an assign hook.
func (m *brokerMeter) hook(armed bool) {
	m.hooks.WithLabelValues(map[bool]string{true: "armed", false: "opened"}[armed]).Inc()
}

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

// scalerMeter shows pools and counts steps.
type scalerMeter struct {
	steps *prometheus.CounterVec
	pools *prometheus.GaugeVec
	zones prometheus.Gauge
}

func newScalerMeter(r *prometheus.Registry, s func() bool) *scalerMeter {
	m := &scalerMeter{
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_scaler_steps_total",
			Help: "Steps that the scaler applied, by kind and result (ok, failed).",
		}, []string{"kind", "result"}),
		pools: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "greenroom_pool_sessions",
			Help: "Unassigned sessions of a pool, by staging config and count (desired, current, ready).",
		}, []string{"staging", "count"}),
	}
	m.zones = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "greenroom_scaler_locks_held",
		Help: "Locks by which this scaler acts: one a zone, and one for sessions whose zone is not known.",
	})
	r.MustRegister(m.steps, m.pools, m.zones, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_scaler_in_sync",
		Help: "1 while the scaler knows Nomad, Consul and Redis whole and acts, else 0.",
	}, func() float64 {
		if s() {
			return 1
		}
		return 0
	}))
	return m
}

// Step implements scaler.Meter.
func (m *scalerMeter) Step(k scaler.Kind, failed bool) {
	result := "ok"
	if failed {
		result = "failed"
	}
	m.steps.WithLabelValues(string(k), result).Inc()
}

// Pool implements scaler.Meter.
func (m *scalerMeter) Pool(name string, desired, current, ready int) {
	m.pools.WithLabelValues(name, "desired").Set(float64(desired))
	m.pools.WithLabelValues(name, "current").Set(float64(current))
	m.pools.WithLabelValues(name, "ready").Set(float64(ready))
}

// Zones implements scaler.Meter.
func (m *scalerMeter) Zones(n int) { m.zones.Set(float64(n)) }

// PoolGone implements scaler.Meter.
func (m *scalerMeter) PoolGone(name string) {
	m.pools.DeletePartialMatch(prometheus.Labels{"staging": name})
}

// readyPoll is how often something that must come true is looked at.
const readyPoll = 100 * time.Millisecond
