package agent

import (
	"context"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/prometheus/client_golang/prometheus"
)

// dependencies registers a metric of whether each server answers; every scrape calls ask.
func (m *brokerMeter) dependencies(ask func(context.Context) []status.Dependency) {
	m.registry.MustRegister(dependencyCollector{
		up: prometheus.NewDesc("greenroom_dependency_up",
			"1 while the server answers this broker, else 0, by dependency (consul, nomad, redis).", []string{"dependency"}, nil),
		ask: ask,
	})
}

// dependencyCollector reports what ask returns. Scrapes cost the servers little, because
// the broker caches that for a second.
type dependencyCollector struct {
	up  *prometheus.Desc
	ask func(context.Context) []status.Dependency
}

// Describe implements prometheus.Collector.
func (c dependencyCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.up }

// Collect implements prometheus.Collector. ask has a deadline of its own.
func (c dependencyCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, d := range c.ask(context.Background()) {
		up := 1.0
		if d.Problem != "" {
			up = 0
		}
		metrics <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, d.Name)
	}
}
