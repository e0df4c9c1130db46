package agent

import (
	"fmt"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/tracing"
)

// openTracing returns what begins the traces of requests, nil where none are exported, and what stops
// the export once the last of them has ended.
func openTracing(a config.Agent, log *logrus.Entry) (t httpapi.Tracer, stop func(), err error) {
	if a.Tracing.URL == "" {
		return nil, func() {}, nil
	}
	s := tracing.Settings{URL: a.Tracing.URL, Ratio: a.Tracing.SampleRatio, Headers: map[string]string{}, Service: "greenroom-broker"}
	for name, value := range a.Tracing.Headers {
		s.Headers[name] = string(value)
	}
	if s.TLS, err = a.Tracing.TLS.Client(); err != nil {
		return nil, nil, exit.BadUsage(fmt.Errorf("tracing: TLS to the collector: %w", err))
	}
	open, err := tracing.Open(s, log)
	if err != nil {
		return nil, nil, exit.BadUsage(err)
	}
	return open, func() {
		if err := open.Close(); err != nil {
			log.WithError(err).Warn("traces of the last requests are lost")
		}
	}, nil
}

// traceConsul has the calls of a client of Consul be spans of the traces that they belong to.
func traceConsul(c *consulapi.Config) {
	c.HttpClient.Transport = tracing.Transport(c.HttpClient.Transport, "consul")
}
