package agent

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/config"
)

// newMetrics returns a registry with what all agents export: the process's own metrics, its clock,
// and when its client certificates expire.
func newMetrics(a config.Agent) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newBuildInfo())
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "greenroom_clock_seconds",
		Help: "The agent's own clock, in seconds since 1970. Where it differs from the time of the scrape, the clock of one of the two machines is wrong.",
	}, func() float64 { return float64(time.Now().UnixMicro()) / 1e6 }))
	return r, clientCertificates(r, a)
}

// The values of the label certificate.
const (
	certificateAPI     = "api"
	certificateGateway = "gateway"
	certificateConsul  = "consul"
	certificateNomad   = "nomad"
	certificateRedis   = "redis"
)

// certificateExpiry registers the metric of when a certificate expires.
func certificateExpiry(r *prometheus.Registry, certificate string, expires func() time.Time) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "greenroom_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate that is in use expires, in seconds since 1970, by certificate: api and gateway are served; consul, nomad and redis are shown to these servers, and read once, when the agent starts.",
		ConstLabels: prometheus.Labels{"certificate": certificate},
	}, func() float64 { return float64(expires().Unix()) }))
}

// clientCertificates registers when the certificates expire that the agent's clients of the servers
// show. The clients keep what they read when the agent starts, and so does this.
func clientCertificates(r *prometheus.Registry, a config.Agent) error {
	for certificate, files := range map[string]config.TLS{certificateConsul: a.ConsulTLS, certificateNomad: a.NomadTLS, certificateRedis: a.RedisTLS} {
		if files.CertFile == "" {
			continue
		}
		pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		if err != nil {
			return fmt.Errorf("read certificate %s with key %s: %w", files.CertFile, files.KeyFile, err)
		}
		certificateExpiry(r, certificate, func() time.Time { return pair.Leaf.NotAfter })
	}
	return nil
}

// newBuildInfo returns the metric that says which greenroom this is.
func newBuildInfo() prometheus.Gauge {
	b := buildinfo.Read()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "greenroom_build_info", Help: "Always 1: the labels say which greenroom this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	info.Set(1)
	return info
}

// newHookFailures returns the metric of failed hooks, which both agents export.
func newHookFailures() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greenroom_hook_failures_total",
		Help: "Hooks that failed in sessions, by hook (first_launch, assign, go, pre_end, pre_stop). Both agents run first_launch; a scaler runs assign again in a session whose main task was restarted, and pre_end and pre_stop.",
	}, []string{"hook"})
}
