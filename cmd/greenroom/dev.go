package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// devFlags are the flags of greenroom dev.
type devFlags struct {
	driver    string
	zones     int
	desired   int
	dataDir   string
	readyFile string
}

func newDevCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: servers, scaler, broker and a demo",
		Long: `Run everything on this machine: real Nomad, Consul and Redis on loopback, a
scaler, a broker, and a demo image with warm sessions in each zone.

Ctrl-C stops all of it and leaves nothing behind. With --data-dir the servers'
data is kept and resumed on the next start.`,
		Example: `  greenroom dev
  greenroom dev --driver raw_exec --zones 1 --desired 5
  greenroom dev --data-dir ~/greenroom-dev --ready-file /tmp/ready.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return usageError{err}
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

// zoneNames are the demo's zones in order; dc1 is east, dc2 west.
func demoZones(n int) []string {
	names := []string{"east", "west", "north", "south"}
	for i := len(names); i < n; i++ {
		names = append(names, fmt.Sprintf("zone-%d", i+1))
	}
	return names[:n]
}

// dev is a running greenroom dev.
type dev struct {
	devFlags
	out     io.Writer
	cluster *devcluster.Cluster
	broker  string // URL
	logs    string // directory
}

// runDev runs until ctx is done, and stops everything it started before it returns.
func runDev(ctx context.Context, f devFlags, out, progress io.Writer) error {
	d := &dev{devFlags: f, out: out}
	if f.readyFile != "" {
		// A file of an earlier run must not pass for this one's.
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
	fmt.Fprintf(progress, "starting Consul, Redis and Nomad with %d clients (driver %s) ...\n", f.zones, d.driver)
	d.cluster, err = devcluster.Start(ctx, devcluster.Options{
		Dir: f.dataDir, Datacenters: datacenters, Docker: d.driver == "docker", Progress: progress,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting; Start has cleaned up
		}
		return err
	}
	err = d.run(ctx, image)
	fmt.Fprintln(progress, "stopping ...")
	return errors.Join(err, d.cluster.Stop())
}

// chooseDriver settles "auto", and says early when Docker was asked for in vain.
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

// demoImage is the image "demo" for the driver.
func (d *dev) demoImage(ctx context.Context) (staging.Image, error) {
	image := staging.Image{Name: "demo", Variables: map[string]string{}, ConnectURL: "http://{address}:{port_http}/"}
	hooks := func(program string) staging.ExecConfig {
		return staging.ExecConfig{
			Assign: &staging.Hook{Cmd: []string{program, "assign"}},
			Go:     &staging.Hook{Cmd: []string{program, "go"}},
		}
	}
	switch d.driver {
	case "docker":
		tag, err := devcluster.BuildDemoImage(ctx)
		if err != nil {
			return image, err
		}
		image.Jobspec, image.Variables["image"] = jobspecs.DemoDocker, tag
		image.ExecConfig = hooks("/demo-session")
	case "raw_exec":
		binary, err := devcluster.DemoBinary(ctx)
		if err != nil {
			return image, err
		}
		image.Jobspec, image.Variables["command"] = jobspecs.DemoRawExec, binary
		image.ExecConfig = hooks(binary)
	default:
		image.Jobspec = jobspecs.DemoMock
	}
	return image, nil
}

// run starts the agents on the cluster, sets the demo up and waits for the end.
func (d *dev) run(ctx context.Context, image staging.Image) error {
	d.logs = filepath.Join(d.cluster.Dir, "greenroom")
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		return err
	}
	// One agent that fails ends the others.
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)
	brokerAddr, err := d.agent(ctx, &wg, stop, "broker", runBroker)
	if err != nil {
		return err
	}
	if _, err := d.agent(ctx, &wg, stop, "scaler", runScaler); err != nil {
		return err
	}
	d.broker = "http://" + brokerAddr
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
		os.Remove(d.readyFile) // it would name what no longer answers
	}
	return unasked(context.Cause(ctx), nil)
}

// unasked is the cause of an end that was not asked for, or otherwise err.
func unasked(cause, err error) error {
	switch {
	case cause == nil:
		return err
	case errors.Is(cause, context.Canceled):
		return nil
	}
	return cause
}

// agent runs a broker or scaler on a free port, its log in a file.
func (d *dev) agent(ctx context.Context, wg *sync.WaitGroup, stop context.CancelCauseFunc, name string,
	run func(context.Context, config.Agent, net.Listener, *logrus.Entry) error,
) (addr string, err error) {
	file, err := os.OpenFile(filepath.Join(d.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		file.Close()
		return "", err
	}
	a := config.Agent{
		Bind: listener.Addr().String(), NomadAddress: d.cluster.NomadAddr, ConsulAddress: d.cluster.ConsulAddr,
		RedisAddress: d.cluster.RedisAddr, MaxDesiredSessions: staging.DefaultLimits.MaxDesiredSessions,
		LogLevel: "info", LogFormat: "text",
	}
	boundedByDefault(&a)
	if err := d.register(ctx, name, listener.Addr()); err != nil {
		listener.Close()
		file.Close()
		return "", err
	}
	log := a.Logger()
	log.SetOutput(file)
	wg.Go(func() {
		defer file.Close()
		if err := run(ctx, a, listener, logrus.NewEntry(log)); err != nil {
			stop(fmt.Errorf("the %s failed: %w", name, err))
		}
	})
	return a.Bind, nil
}

// register has Consul check an agent's readiness, as the jobs in deploy/nomad have it
// where Nomad runs the agents.
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

// pool is the name of a zone's demo pool.
func (d *dev) pool(zone string) string { return "demo-" + zone }

// setUp stores the demo's resources through the API, as any operator would.
func (d *dev) setUp(ctx context.Context, image staging.Image) error {
	var set resourceSet
	for i, name := range demoZones(d.zones) {
		set.zones = append(set.zones, staging.Zone{
			Name: name, Datacenters: []string{fmt.Sprintf("dc%d", i+1)},
			// Staged sessions are made before there is a request to take these from.
			AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: strings.TrimPrefix(d.broker, "http://"),
		})
		set.configs = append(set.configs, staging.Config{
			Name: d.pool(name), Zone: name, Image: image.Name, DesiredSessions: d.desired,
			Expiration: staging.Duration(24 * time.Hour),
		})
	}
	set.images = []staging.Image{image}
	c, err := newClient(d.broker, "")
	if err != nil {
		return err
	}
	there, err := c.stored(ctx)
	if err != nil {
		return err
	}
	return c.apply(ctx, set.changes(there, nil), func(change) {})
}

func (d *dev) printTable() {
	fmt.Fprintln(d.out)
	w := tabwriter.NewWriter(d.out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"broker", d.broker},
		{"page", d.broker + "/ui/"},
		{"consul", d.cluster.ConsulAddr},
		{"nomad", d.cluster.NomadAddr},
		{"redis", d.cluster.RedisAddr},
		{"driver", d.driver},
		{"zones", strings.Join(demoZones(d.zones), ", ")},
		{"pools", fmt.Sprintf("%d sessions of image demo in each zone", d.desired)},
		{"logs", d.cluster.Dir},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	w.Flush()
	fmt.Fprintf(d.out, `
Launch a session:

  curl -s -X POST %s/v1/sessions -H 'Content-Type: application/json' \
    -d '{"image":"demo","zone":"east","user":{"id":"u-1","name":"alice"}}'

or, with the command line, then see who is where:

  export GREENROOM_ADDR=%s
  greenroom launch demo --zone east --user alice
  greenroom staging
  greenroom sessions

`, d.broker, d.broker)
}

// awaitPools waits until every demo pool is at its desired number. A look that
// fails is no reason to end: the next one may not.
func (d *dev) awaitPools(ctx context.Context) error {
	c, err := newClient(d.broker, "")
	if err != nil {
		return err
	}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if pools, err := c.pools(ctx); err == nil && d.full(pools) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// writeReadyFile writes the addresses whole or not at all.
func (d *dev) writeReadyFile() error {
	if d.readyFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(map[string]string{
		"broker": d.broker, "consul": d.cluster.ConsulAddr, "nomad": d.cluster.NomadAddr, "redis": d.cluster.RedisAddr,
		// No token guards the API of a dev broker, which is bound to loopback.
		"token": "",
	}, "", "  ")
	if err != nil {
		return err
	}
	part := d.readyFile + ".part"
	if err := os.WriteFile(part, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	if err := os.Rename(part, d.readyFile); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}

// full reports whether every demo pool is at its desired number.
func (d *dev) full(pools []httpapi.StagingPool) bool {
	ready := map[string]int{}
	for _, p := range pools {
		ready[p.Name] = p.ReadySessions
	}
	for _, zone := range demoZones(d.zones) {
		if ready[d.pool(zone)] < d.desired {
			return false
		}
	}
	return true
}
