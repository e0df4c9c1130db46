package agent

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics returns a registry with the process's own metrics.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// newHookFailures returns the metric of failed hooks, which both agents export.
func newHookFailures() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_hook_failures_total",
		Help: "Hooks that failed in sessions, by hook (first_launch, assign, go). Both agents run first_launch; a scaler runs assign again in a session whose main task was restarted.",
	}, []string{"hook"})
}
