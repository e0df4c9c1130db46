package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/peers"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/logfield"
)

// openPeers returns the greenrooms of other regions that are configured; nil for none.
func openPeers(a config.Agent, metrics *prometheus.Registry, log *logrus.Entry) (*peers.Peers, error) {
	if len(a.Peers) == 0 {
		return nil, nil
	}
	var all []peers.Peer
	for _, name := range slices.Sorted(maps.Keys(a.Peers)) {
		c := a.Peers[name]
		tls, err := c.TLS.Client()
		if err != nil {
			return nil, exit.BadUsage(fmt.Errorf("peer %s: %w", name, err))
		}
		if c.Token != "" && strings.HasPrefix(c.Address, "http://") {
			log.WithField(logfield.Peer, name).Warn("the token for this peer is sent in plain http: use https between regions")
		}
		all = append(all, peers.Peer{Name: name, Address: c.Address, Token: string(c.Token), TLS: tls})
	}
	meter := newPeerMeter(metrics, slices.Sorted(maps.Keys(a.Peers)))
	opened := peers.New(all, meter, log)
	metrics.MustRegister(peerCollector{opened.States})
	return opened, nil
}

// launchPeers are the peers for launches: a nil interface where there is none.
func launchPeers(p *peers.Peers) launch.Peers {
	if p == nil {
		return nil
	}
	return p
}

// peerStates returns how the peers are; nil where there is none.
func peerStates(p *peers.Peers) func() []status.Peer {
	if p == nil {
		return nil
	}
	return p.States
}

// peerMeter implements peers.Meter.
type peerMeter struct{ crossings *prometheus.CounterVec }

func newPeerMeter(r *prometheus.Registry, names []string) peerMeter {
	m := peerMeter{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_crossings_total",
		Help: "Launches that were sent to the greenroom of another region, by peer and outcome (served, refused, unreached, unknown).",
	}, []string{"peer", "outcome"})}
	for _, name := range names {
		for _, outcome := range peers.Outcomes {
			m.crossings.WithLabelValues(name, string(outcome))
		}
	}
	r.MustRegister(m.crossings)
	return m
}

// Crossed implements peers.Meter.
func (m peerMeter) Crossed(peer string, outcome peers.Outcome) {
	m.crossings.WithLabelValues(peer, string(outcome)).Inc()
}

var peerUp = prometheus.NewDesc("greenroom_peer_up", "1 while the greenroom of another region answers this broker, else 0, by peer.", []string{"peer"}, nil)

// peerCollector reports whether each peer answers.
type peerCollector struct{ states func() []status.Peer }

// Describe implements prometheus.Collector.
func (c peerCollector) Describe(descs chan<- *prometheus.Desc) { descs <- peerUp }

// Collect implements prometheus.Collector.
func (c peerCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, p := range c.states() {
		up := 1.0
		if p.Problem != "" {
			up = 0
		}
		metrics <- prometheus.MustNewConstMetric(peerUp, prometheus.GaugeValue, up, p.Name)
	}
}
