package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// brokerMeter implements broker.Meter with Prometheus metrics.
type brokerMeter struct {
	attempts   *prometheus.CounterVec
	violations *prometheus.CounterVec
	launches   *prometheus.HistogramVec
	// withoutRedis counts staged launches that were served while Redis was unavailable.
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

// begin creates every series whose labels are known in advance: rate() misses the first
// event of a series that appears with it.
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

// shells registers the gauge of armed shells, which count returns.
func (m *brokerMeter) shells(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_armed_shells",
		Help: "Shells that wait in ready sessions for an assign hook. Each holds a connection to Nomad.",
	}, func() float64 { return float64(count()) }))
}

// The values of the label shell.
const (
	shellArmed  = "armed"
	shellOpened = "opened"
)

// hook counts an assign hook, which ran in an armed shell or in one that it opened.
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
