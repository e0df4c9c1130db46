package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/webhooks"
)

// webhookMeter implements webhooks.Meter with Prometheus metrics. Only the scaler that sends
// has series of webhooks.
type webhookMeter struct {
	deliveries *prometheus.CounterVec
	gaps       *prometheus.CounterVec
	pending    *prometheus.GaugeVec
	lag        *prometheus.GaugeVec
	dead       *prometheus.GaugeVec
}

// newWebhookMeter registers the metrics of webhooks.
func newWebhookMeter(r *prometheus.Registry) *webhookMeter {
	m := &webhookMeter{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_webhook_deliveries_total",
			Help: "Attempts to deliver a message of a webhook, by webhook and result (delivered, failed, given_up). What is given up is a dead letter.",
		}, []string{"webhook", "result"}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greenroom_webhook_gaps_total",
			Help: "How often events of a webhook may have been lost, by webhook: more happened than is kept, or Redis lost its data. The receiver got a message of type gap each time.",
		}, []string{"webhook"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "greenroom_webhook_pending_messages",
			Help: "Messages that are still to be delivered, by webhook.",
		}, []string{"webhook"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "greenroom_webhook_lag_seconds",
			Help: "How long ago that happened which the oldest pending message is about, by webhook; 0 while none is pending.",
		}, []string{"webhook"}),
		dead: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "greenroom_webhook_dead_letters",
			Help: "Messages that were given up and are kept for a replay, by webhook.",
		}, []string{"webhook"}),
	}
	r.MustRegister(m.deliveries, m.gaps, m.pending, m.lag, m.dead)
	return m
}

// Delivery implements webhooks.Meter.
func (m *webhookMeter) Delivery(webhook string, r webhooks.Result) {
	m.deliveries.WithLabelValues(webhook, string(r)).Inc()
}

// Gap implements webhooks.Meter.
func (m *webhookMeter) Gap(webhook string) { m.gaps.WithLabelValues(webhook).Inc() }

// Deliveries implements webhooks.Meter.
func (m *webhookMeter) Deliveries(webhook string, d staging.WebhookDeliveries, now time.Time) {
	for _, r := range webhooks.Results {
		m.deliveries.WithLabelValues(webhook, string(r))
	}
	m.gaps.WithLabelValues(webhook)
	m.pending.WithLabelValues(webhook).Set(float64(d.Pending))
	lag := 0.0
	if d.Pending > 0 && !d.OldestAt.IsZero() {
		lag = max(0, now.Sub(d.OldestAt).Seconds())
	}
	m.lag.WithLabelValues(webhook).Set(lag)
	m.dead.WithLabelValues(webhook).Set(float64(d.DeadLetters))
}

// Gone implements webhooks.Meter.
func (m *webhookMeter) Gone(name string) {
	if name == "" {
		m.pending.Reset()
		m.lag.Reset()
		m.dead.Reset()
		return
	}
	labels := prometheus.Labels{"webhook": name}
	m.deliveries.DeletePartialMatch(labels)
	m.gaps.DeletePartialMatch(labels)
	m.pending.DeletePartialMatch(labels)
	m.lag.DeletePartialMatch(labels)
	m.dead.DeletePartialMatch(labels)
}
