package agent

import (
	"time"

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
	extensions   *prometheus.CounterVec
	// queued has how long launches waited for their turn to make a session.
	queued   *prometheus.HistogramVec
	registry *prometheus.Registry
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
	m.extensions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_session_extensions_total",
		Help: "Extensions of sessions' time limits that were asked for, by outcome (granted, refused).",
	}, []string{"outcome"})
	m.queued = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "greenroom_on_demand_queue_seconds",
		Help:    "How long launches waited for their turn to make a session on demand, by outcome: turn (it came), or left (the wait was over, or the caller hung up).",
		Buckets: prometheus.ExponentialBuckets(0.05, 2, 14),
	}, []string{"outcome"})
	m.registry = r
	r.MustRegister(m.extensions, m.queued, m.attempts, m.violations, m.launches, m.withoutRedis, m.hooks, m.hookFailures, m.refused)
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
	for _, outcome := range []string{queueTurn, queueLeft} {
		m.queued.WithLabelValues(outcome)
	}
	for _, shell := range []string{shellArmed, shellOpened} {
		m.hooks.WithLabelValues(shell)
	}
	for _, outcome := range []string{extensionGranted, extensionRefused} {
		m.extensions.WithLabelValues(outcome)
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

// queue registers the gauge of the launches that wait for their turn to make a session, which
// count returns.
func (m *brokerMeter) queue(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_on_demand_queue",
		Help: "Launches that wait for their turn to make a session on demand: this broker makes as many at once as max_on_demand allows.",
	}, func() float64 { return float64(count()) }))
}

// The values of the label outcome of the queue.
const (
	queueTurn = "turn"
	queueLeft = "left"
)

// OnDemandQueued implements broker.Meter.
func (m *brokerMeter) OnDemandQueued(waited time.Duration, served bool) {
	m.queued.WithLabelValues(map[bool]string{true: queueTurn, false: queueLeft}[served]).Observe(waited.Seconds())
}

// The values of the label shell.
const (
	shellArmed  = "armed"
	shellOpened = "opened"
)

// The values of the label outcome of extensions.
const (
	extensionGranted = "granted"
	extensionRefused = "refused"
)

// Extended implements sessions.Meter.
func (m *brokerMeter) Extended(granted bool) {
	m.extensions.WithLabelValues(map[bool]string{true: extensionGranted, false: extensionRefused}[granted]).Inc()
}

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
