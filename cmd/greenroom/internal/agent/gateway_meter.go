package agent

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gatewayMeter implements gateway.Meter with Prometheus metrics.
type gatewayMeter struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	links    *prometheus.CounterVec
	sockets  prometheus.Gauge
	registry *prometheus.Registry
}

// The values of the label outcome of links.
const (
	linkOpened  = "opened"
	linkRefused = "refused"
)

func newGatewayMeter(r *prometheus.Registry) *gatewayMeter {
	m := &gatewayMeter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_gateway_requests_total",
			Help: "Requests to sessions that were answered, by status; 101 is a WebSocket that has ended.",
		}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "greenroom_gateway_request_duration_seconds",
			Help:    "Time from a request to a session until the end of its answer; without WebSockets.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}),
		links: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_gateway_links_total",
			Help: "Links that users opened, by outcome (opened, refused).",
		}, []string{"outcome"}),
		sockets: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "greenroom_gateway_sockets",
			Help: "WebSockets that are open.",
		}),
		registry: r,
	}
	// rate() misses the first event of a series that appears with it.
	m.requests.WithLabelValues("200")
	for _, outcome := range []string{linkOpened, linkRefused} {
		m.links.WithLabelValues(outcome)
	}
	r.MustRegister(m.requests, m.seconds, m.links, m.sockets)
	return m
}

// Watch implements gateway.Meter.
func (m *gatewayMeter) Watch(open, sessions func() int) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "greenroom_gateway_open",
			Help: "Requests and WebSockets to sessions that are open.",
		}, func() float64 { return float64(open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "greenroom_gateway_sessions",
			Help: "Sessions whose address the gateway has in memory.",
		}, func() float64 { return float64(sessions()) }),
	)
}

// Request implements gateway.Meter.
func (m *gatewayMeter) Request(status int, took time.Duration) {
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	if status != 101 {
		m.seconds.Observe(took.Seconds())
	}
}

// Code implements gateway.Meter.
func (m *gatewayMeter) Code(accepted bool) {
	m.links.WithLabelValues(map[bool]string{true: linkOpened, false: linkRefused}[accepted]).Inc()
}

// Socket implements gateway.Meter.
func (m *gatewayMeter) Socket(change int) { m.sockets.Add(float64(change)) }
