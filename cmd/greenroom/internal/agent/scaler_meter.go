package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler"
)

// scalerMeter implements scaler.Meter with Prometheus metrics.
type scalerMeter struct {
	steps *prometheus.CounterVec
	pools *prometheus.GaugeVec
	fills *prometheus.GaugeVec
	zones prometheus.Gauge
	// acts has a series for each zone; seen are those zones.
	acts        *prometheus.GaugeVec
	seen        map[string]bool
	conditions  *prometheus.GaugeVec
	denied      *prometheus.GaugeVec
	waiting     *prometheus.GaugeVec
	hooks       *prometheus.CounterVec
	unreadable  *prometheus.GaugeVec
	quarantined prometheus.Gauge
	foreign     prometheus.Gauge
}

// newScalerMeter registers the scaler's metrics. inSync and waiting are read at each scrape.
func newScalerMeter(r *prometheus.Registry, inSync func() bool, waiting func() int) *scalerMeter {
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
	m.fills = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "greenroom_pool_fill",
		Help: "1 for how full a pool is, else 0, by staging config and fill (full, filling, short, bare). A pool whose missing sessions are on the way, none for longer than usual, is filling; short and bare are degraded.",
	}, []string{"staging", "fill"})
	m.zones = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "greenroom_scaler_locks_held",
		Help: "Locks by which this scaler acts: one a zone, and one for sessions whose zone is not known.",
	})
	m.acts = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "greenroom_scaler_zone_acting",
		Help: "1 while this scaler acts in the zone, else 0, by zone; _unplaced is for sessions whose zone is not known. Of all scalers one acts in each.",
	}, []string{"zone"})
	m.conditions = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "greenroom_pool_condition",
		Help: "1 for each condition that a pool has, by staging config and the condition's type; the API and Consul have its words.",
	}, []string{"staging", "condition"})
	m.denied = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "greenroom_scaler_denied_sessions",
		Help: "Sessions that Nomad does not let this scaler see, by zone: its list lacks them, and it refuses to read their jobs. Nothing is done with them.",
	}, []string{"zone"})
	m.waiting = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "greenroom_launches_waiting_for_room",
		Help: "Launches whose sessions no node can take, and whose jobs stay queued in Nomad until room comes or their wait_for_room is over, by zone.",
	}, []string{"zone"})
	m.foreign = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "greenroom_scaler_foreign_sessions",
		Help: "Sessions in Nomad that belong to other installations, and that this one leaves alone; greenroom installation lists them.",
	})
	m.hooks, m.seen = newHookFailures(), map[string]bool{}
	for _, hook := range []staging.HookName{staging.HookFirstLaunch, staging.HookAssign, staging.HookPreEnd, staging.HookPreStop} {
		m.hooks.WithLabelValues(string(hook))
	}
	m.unreadable = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "greenroom_unreadable_records",
		Help: "Records in Consul that cannot be read, by kind (zone, image, group, staging, webhook, fate, other). GET /v1/status names the resources, and the scaler's log all of them.",
	}, []string{"kind"})
	m.quarantined = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "greenroom_quarantined_sessions",
		Help: "Sessions that may be users' although no readable record says so. They are neither given away nor ended until an administrator ends them.",
	})
	for _, kind := range []string{"zone", "image", "group", "staging", "webhook", "fate", "other"} {
		m.unreadable.WithLabelValues(kind)
	}
	for _, kind := range scaler.Kinds {
		for _, result := range []string{"ok", "failed"} {
			m.steps.WithLabelValues(string(kind), result)
		}
	}
	r.MustRegister(m.steps, m.pools, m.fills, m.zones, m.acts, m.conditions, m.denied, m.waiting, m.hooks, m.unreadable, m.quarantined, m.foreign, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_scaler_in_sync",
		Help: "1 while the scaler knows Nomad, Consul and Redis whole and acts, else 0.",
	}, func() float64 {
		if inSync() {
			return 1
		}
		return 0
	}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_scaler_catalog_waiting",
		Help: "Entries of assigned sessions that this scaler has still to write to Consul's catalog, or to remove there.",
	}, func() float64 { return float64(waiting()) }))
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
func (m *scalerMeter) Pool(name string, s staging.PoolStatus, fill staging.Fill) {
	m.pools.WithLabelValues(name, "desired").Set(float64(s.Desired))
	m.pools.WithLabelValues(name, "current").Set(float64(s.Current))
	m.pools.WithLabelValues(name, "ready").Set(float64(s.Ready))
	for _, f := range staging.Fills {
		is := 0.0
		if f == fill {
			is = 1
		}
		m.fills.WithLabelValues(name, string(f)).Set(is)
	}
}

// Conditions implements scaler.Meter.
func (m *scalerMeter) Conditions(name string, cs []staging.Condition) {
	m.conditions.DeletePartialMatch(prometheus.Labels{"staging": name})
	for _, c := range cs {
		m.conditions.WithLabelValues(name, string(c.Type)).Set(1)
	}
}

// Quarantined implements scaler.Meter.
func (m *scalerMeter) Quarantined(n int) { m.quarantined.Set(float64(n)) }

// UnreadableFates implements scaler.Meter.
func (m *scalerMeter) UnreadableFates(n int) { m.unreadable.WithLabelValues("fate").Set(float64(n)) }

// UnreadableResources implements scaler.Meter.
func (m *scalerMeter) UnreadableResources(kinds map[staging.ResourceKind]int) {
	for kind, label := range map[staging.ResourceKind]string{
		staging.KindZone: "zone", staging.KindImage: "image", staging.KindGroup: "group", staging.KindStaging: "staging", staging.KindWebhook: "webhook", staging.KindNone: "other",
	} {
		m.unreadable.WithLabelValues(label).Set(float64(kinds[kind]))
	}
}

// HookFailed implements scaler.Meter.
func (m *scalerMeter) HookFailed(name staging.HookName) {
	m.hooks.WithLabelValues(string(name)).Inc()
}

// WaitingForRoom implements scaler.Meter.
func (m *scalerMeter) WaitingForRoom(launches map[string]int) {
	m.waiting.Reset()
	for zone, n := range launches {
		m.waiting.WithLabelValues(zone).Set(float64(n))
	}
}

// Denied implements scaler.Meter.
func (m *scalerMeter) Denied(sessions map[string]int) {
	m.denied.Reset()
	for zone, n := range sessions {
		m.denied.WithLabelValues(zone).Set(float64(n))
	}
}

// Foreign sets the number of other installations' sessions.
func (m *scalerMeter) Foreign(all []staging.Foreign) {
	sum := 0
	for _, f := range all {
		sum += f.Sessions
	}
	m.foreign.Set(float64(sum))
}

// Zones implements scaler.Meter. Only the scaler's loop calls it.
func (m *scalerMeter) Zones(there, acting map[string]bool) {
	m.zones.Set(float64(len(acting)))
	for zone := range m.seen {
		if !there[zone] {
			m.acts.DeleteLabelValues(zone)
			delete(m.seen, zone)
		}
	}
	for zone := range there {
		acts := 0.0
		if acting[zone] {
			acts = 1
		}
		m.acts.WithLabelValues(zone).Set(acts)
		m.seen[zone] = true
	}
}

// PoolGone implements scaler.Meter.
func (m *scalerMeter) PoolGone(name string) {
	m.pools.DeletePartialMatch(prometheus.Labels{"staging": name})
	m.fills.DeletePartialMatch(prometheus.Labels{"staging": name})
	m.conditions.DeletePartialMatch(prometheus.Labels{"staging": name})
}
