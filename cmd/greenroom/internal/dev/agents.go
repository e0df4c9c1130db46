package dev

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/config"
)

// listen returns a listener on a free port.
func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// listenAt returns a listener at an address, or on a free port where that is taken.
func listenAt(address string) (net.Listener, error) {
	if l, err := net.Listen("tcp", address); err == nil {
		return l, nil
	}
	return listen()
}

// agent runs a broker, a scaler or a gateway on a listener, which it closes, logs to a file, and
// calls stop if it fails.
func (d *dev) agent(ctx context.Context, wg *sync.WaitGroup, stop context.CancelCauseFunc, kind config.Kind, name string, listener net.Listener,
	run func(context.Context, config.Agent, net.Listener, *logrus.Entry) error,
) error {
	file, err := os.OpenFile(filepath.Join(d.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		listener.Close()
		return err
	}
	a := agent.Defaults(kind)
	a.Bind, a.NomadAddress, a.ConsulAddress, a.RedisAddress = listener.Addr().String(), d.cluster.NomadAddr, d.cluster.ConsulAddr, d.cluster.RedisAddr
	a.UserRate = 0 // who develops launches for few users, and often
	a.Gateway.URL = d.gateway
	if kind == config.Broker {
		if err := a.TraceByVariables(os.Getenv); err != nil {
			listener.Close()
			file.Close()
			return exit.BadUsage(err)
		}
	}
	if kind == config.Gateway {
		a.ExternalURL = d.broker // where its pages send who wants to launch
	}
	if err := d.register(ctx, name, listener.Addr()); err != nil {
		listener.Close()
		file.Close()
		return err
	}
	log := a.Logger()
	log.SetOutput(file)
	wg.Go(func() {
		defer file.Close()
		if err := run(ctx, a, listener, logrus.NewEntry(log)); err != nil {
			stop(fmt.Errorf("the %s failed: %w", name, err))
		}
	})
	return nil
}

// register makes Consul check an agent's readiness, as the jobs in deploy/nomad do where
// Nomad runs the agents.
func (d *dev) register(ctx context.Context, name string, addr net.Addr) error {
	client, err := consulapi.NewClient(&consulapi.Config{Address: d.cluster.ConsulAddr})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	service := "greenroom-" + name
	return client.Agent().ServiceRegisterOpts(&consulapi.AgentServiceRegistration{
		ID: service, Name: service, Address: "127.0.0.1", Port: addr.(*net.TCPAddr).Port,
		Check: &consulapi.AgentServiceCheck{
			CheckID: service + "-ready", Name: "ready", HTTP: fmt.Sprintf("http://%s/v1/health/ready", addr), Interval: "2s", Timeout: "3s",
		},
	}, consulapi.ServiceRegisterOpts{}.WithContext(ctx))
}
