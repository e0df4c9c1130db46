// Package dev is greenroom dev: real Nomad, Consul and Redis on loopback, a broker, a
// scaler, a gateway, and a demo image with a pool in each zone, all in the life of one command.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// devFlags are the flags of greenroom dev.
type devFlags struct {
	driver    string
	zones     int
	desired   int
	dataDir   string
	readyFile string
}

// NewCommand returns greenroom dev.
func NewCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: servers, scaler, broker, gateway and a demo",
		Long: `Run everything on this machine: real Nomad, Consul and Redis on loopback, a
scaler, a broker, a gateway, and a demo image with warm sessions in each zone.

The broker listens on port 7480, where the documents' commands expect it, or on a free
port where that is taken: then it prints the variable that they need. A Nomad and a
Consul of a supported version on PATH are used; otherwise both are built once.

Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says, if it is set.

Ctrl-C stops all of it and leaves nothing behind. With --data-dir the servers'
data is kept and resumed on the next start.`,
		Example: `  greenroom dev
  greenroom dev --driver raw_exec --zones 1 --desired 5
  greenroom dev --data-dir ~/greenroom-dev --ready-file /tmp/ready.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return exit.BadUsage(err)
			}
			return runDev(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.driver, "driver", "auto", "auto, docker, raw_exec or mock; auto is docker where a daemon answers, else raw_exec")
	fl.IntVar(&f.zones, "zones", 2, fmt.Sprintf("zones, each with a Nomad client of its own (1 to %d)", maxDevZones))
	fl.IntVar(&f.desired, "desired", 3, "sessions to keep warm in each zone")
	fl.StringVar(&f.dataDir, "data-dir", "", "keep the servers' data here and resume it on the next start")
	fl.StringVar(&f.readyFile, "ready-file", "", "write the addresses here, as JSON, once every pool is at its desired number")
	return cmd
}

// maxDevZones bounds the Nomad clients of one machine: each costs some 80 MB.
const maxDevZones = 8

func (f devFlags) validate() error {
	switch f.driver {
	case "auto", "docker", "raw_exec", "mock":
	default:
		return fmt.Errorf("--driver: must be auto, docker, raw_exec or mock, is %q", f.driver)
	}
	if f.zones < 1 || f.zones > maxDevZones {
		return fmt.Errorf("--zones: must be between 1 and %d, is %d", maxDevZones, f.zones)
	}
	if most := staging.DefaultLimits.MaxDesiredSessions; f.desired < 0 || f.desired > most {
		return fmt.Errorf("--desired: must be between 0 and %d, is %d", most, f.desired)
	}
	return nil
}

// dev is a running greenroom dev.
type dev struct {
	devFlags
	out     io.Writer
	cluster *devcluster.Cluster
	broker  string // URL
	// usual: the broker is at its usual address, where commands find it by themselves.
	usual   bool
	gateway string // URL
	logs    string // directory
}

// runDev runs until ctx is done, and stops everything it started before it returns.
func runDev(ctx context.Context, f devFlags, out, progress io.Writer) error {
	d := &dev{devFlags: f, out: out}
	if f.readyFile != "" {
		// The file of an earlier run must not be taken for this run's.
		if err := os.Remove(f.readyFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("--ready-file: %w", err)
		}
	}
	if err := d.chooseDriver(ctx); err != nil {
		return err
	}
	image, err := d.demoImage(ctx)
	if err != nil {
		return err
	}
	datacenters := make([]string, f.zones)
	for i := range datacenters {
		datacenters[i] = fmt.Sprintf("dc%d", i+1)
	}
	fmt.Fprintf(progress, "starting Consul, Redis and Nomad with %s (driver %s) ...\n", staging.Count(f.zones, "client"), d.driver)
	d.cluster, err = devcluster.Start(ctx, devcluster.Options{
		Dir: f.dataDir, Datacenters: datacenters, Docker: d.driver == "docker", Progress: progress,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // interrupted while starting; Start has cleaned up
		}
		return err
	}
	err = d.run(ctx, image)
	fmt.Fprintln(progress, "stopping ...")
	return errors.Join(err, d.cluster.Stop())
}

// chooseDriver resolves "auto", and fails early if Docker was requested and does not answer.
func (d *dev) chooseDriver(ctx context.Context) error {
	switch d.driver {
	case "auto":
		d.driver = "raw_exec"
		if devcluster.DockerAvailable(ctx) == nil {
			d.driver = "docker"
		}
	case "docker":
		return devcluster.DockerAvailable(ctx)
	}
	return nil
}

// run starts the agents on the cluster, sets the demo up and waits for the end.
func (d *dev) run(ctx context.Context, image staging.Image) error {
	d.logs = filepath.Join(d.cluster.Dir, "greenroom")
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		return err
	}
	// An agent that fails stops the others.
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)
	if err := d.startAgents(ctx, &wg, stop); err != nil {
		return err
	}
	if err := d.setUp(ctx, image); err != nil {
		return unasked(context.Cause(ctx), err)
	}
	d.printTable()
	if err := d.awaitPools(ctx); err == nil {
		fmt.Fprintln(d.out, "Every pool is at its desired number of ready sessions. Ctrl-C stops everything.")
		if err := d.writeReadyFile(); err != nil {
			return err
		}
	}
	<-ctx.Done()
	if d.readyFile != "" {
		os.Remove(d.readyFile) // its addresses no longer answer
	}
	return unasked(context.Cause(ctx), nil)
}

// startAgents starts the broker, the scaler and the gateway. The broker and the gateway know each
// other's addresses before either runs.
func (d *dev) startAgents(ctx context.Context, wg *sync.WaitGroup, stop context.CancelCauseFunc) error {
	var listeners []net.Listener
	// The broker is where the documents' commands expect it, unless something else is there.
	usual := agent.Defaults(config.Broker).Bind
	for _, l := range []func() (net.Listener, error){func() (net.Listener, error) { return listenAt(usual) }, listen, listen} {
		l, err := l()
		if err != nil {
			for _, other := range listeners {
				other.Close()
			}
			return err
		}
		listeners = append(listeners, l)
	}
	d.usual = listeners[0].Addr().String() == usual
	d.broker, d.gateway = "http://"+listeners[0].Addr().String(), "http://"+listeners[2].Addr().String()
	return errors.Join(
		d.agent(ctx, wg, stop, config.Broker, "broker", listeners[0], agent.RunBroker),
		d.agent(ctx, wg, stop, config.Scaler, "scaler", listeners[1], agent.RunScaler),
		d.agent(ctx, wg, stop, config.Gateway, "gateway", listeners[2], agent.RunGateway),
	)
}

// unasked returns the cause of an end that nobody requested, otherwise err.
func unasked(cause, err error) error {
	switch {
	case cause == nil:
		return err
	case errors.Is(cause, context.Canceled):
		return nil
	}
	return cause
}

func (d *dev) printTable() {
	fmt.Fprintln(d.out)
	w := tabwriter.NewWriter(d.out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"page", d.broker + "/"},
		{"operators", d.broker + "/ui/"},
		{"broker", d.broker},
		{"gateway", d.gateway},
		{"consul", d.cluster.ConsulAddr},
		{"nomad", d.cluster.NomadAddr},
		{"redis", d.cluster.RedisAddr},
		{"driver", d.driver},
		{"zones", strings.Join(demoZones(d.zones), ", ")},
		{"pools", staging.Count(d.desired, "session") + " of image demo in each zone"},
		{"logs", d.cluster.Dir},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	w.Flush()
	if !d.usual {
		fmt.Fprintf(d.out, `
Something else listens on %s, so the broker is elsewhere. For the documents'
commands, before you paste them:

  export GREENROOM_ADDR=%s
`, agent.Defaults(config.Broker).Bind, d.broker)
	}
	fmt.Fprintf(d.out, `
Launch a session: open the page in a browser and click "Launch", or

  curl -s -X POST %s/v1/sessions -H 'Content-Type: application/json' \
    -d '{"image":"demo","zone":"east","user":{"id":"u-1","name":"alice"}}'

or, with the command line, then see who is where:

  export GREENROOM_ADDR=%s NOMAD_ADDR=%s
  greenroom launch demo --zone east --user alice
  greenroom staging
  greenroom sessions

The servers are those of a cluster, so greenroom doctor can look at them:

  export CONSUL_HTTP_ADDR=%s GREENROOM_REDIS_ADDR=%s
  greenroom doctor

`, d.broker, d.broker, d.cluster.NomadAddr, d.cluster.ConsulAddr, d.cluster.RedisAddr)
}
