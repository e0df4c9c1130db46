package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say what a cluster is made of. The zero value is Consul and Redis
// without Nomad.
type Options struct {
	// Dir keeps the servers' data and is resumed from on the next start; it is
	// created when missing. "": a temporary directory, removed by Stop.
	Dir string
	// Datacenters are Nomad's, one client process for each; none: no Nomad.
	Datacenters []string
	// Docker gives the Nomad clients the docker driver and demands that it is healthy.
	Docker bool
	// CPU (MHz) and MemoryMB are what each Nomad client claims to have; 0 is
	// room for some thousands of small sessions, whatever the machine has.
	CPU, MemoryMB int
	// NoConsul and NoRedis leave that server out. Nomad needs Consul.
	NoConsul, NoRedis bool
	// TLS has Nomad's agents serve https alone, and Consul's server https, too, there
	// only to those who show a certificate of the same authority; nil for plain http.
	TLS *TLSFiles
	// Progress is told, a line at a time, what takes long (a first build of
	// Nomad or Consul); nil for nobody.
	Progress io.Writer
}

// TLSFiles are paths of PEM files: a certificate for 127.0.0.1 and client.global.nomad,
// its key, and the authority that signed it.
type TLSFiles struct{ CA, Cert, Key string }

// Cluster is a set of running servers.
type Cluster struct {
	// Dir holds each server's configuration, data and log.
	Dir string
	// NomadAddr and ConsulAddr are URLs such as http://127.0.0.1:10000; "" for
	// a server that was not asked for.
	NomadAddr, ConsulAddr string
	// ConsulHTTPS is Consul's https address, "" without Options.TLS.
	ConsulHTTPS string
	// RedisAddr is host:port, or "".
	RedisAddr string
	// Consul, Redis, NomadServer and NomadClients (in the order of
	// Options.Datacenters) are the processes; nil for those not asked for.
	Consul, Redis, NomadServer *Process
	NomadClients               []*Process
	// ConsulAgents are those of the second datacenter and on; the first one's
	// Nomad client uses the Consul server.
	ConsulAgents []*Process

	temporary bool
	docker    bool
	// consulJoin is where Consul's agents meet its server.
	consulJoin string
	dirLock    *os.File
	ports      *lease
	spawn      *spawner

	stopOnce sync.Once
	stopErr  error
}

// startTimeout bounds how long one server may take until it answers. It is
// generous: a busy small machine takes tens of seconds where an idle one takes two.
const startTimeout = 90 * time.Second

// stopGrace is how long a server gets to end by itself.
const stopGrace = 2 * time.Second

var errStartTimeout = fmt.Errorf("no answer within %v", startTimeout)

// Start starts the servers and returns once all of them answer. When it fails
// nothing is left running; a server that did not come up gives a *StartError.
// Before anything is started, the servers' programs are looked up, and built
// if they must be, which the first time takes minutes.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if len(o.Datacenters) > 0 && o.NoConsul {
		return nil, errors.New("devcluster: Nomad needs Consul: its sessions' health is there")
	}
	bins, err := findServers(ctx, o)
	if err != nil {
		return nil, err
	}
	sweepStale(ctx)
	c := &Cluster{docker: o.Docker}
	if err := c.prepare(o); err != nil {
		if c.temporary {
			err = errors.Join(err, os.RemoveAll(c.Dir))
		}
		c.closeFiles()
		return nil, err
	}
	if err := c.startAll(ctx, o, bins); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// tempPrefix begins the name of every temporary cluster's directory.
const tempPrefix = "greenroom-run-"

// prepare takes the directory and the ports.
func (c *Cluster) prepare(o Options) error {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", tempPrefix)
		if err != nil {
			return err
		}
		c.Dir, c.temporary = dir, true
	} else {
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		c.Dir = dir
	}
	// The kernel tells us of mounts and processes by their real paths.
	dir, err := filepath.EvalSymlinks(c.Dir)
	if err != nil {
		return err
	}
	c.Dir = dir
	if err := c.lockDir(); err != nil {
		return err
	}
	blocks := smallBlocks
	if len(o.Datacenters) > 0 {
		blocks = largeBlocks
	}
	// On a resumed directory: the ports of the last time, when they are free.
	memory := filepath.Join(dir, "ports")
	prefer := 0
	if b, err := os.ReadFile(memory); err == nil {
		prefer, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if c.ports, err = leasePorts(blocks, prefer); err != nil {
		return err
	}
	c.spawn = newSpawner()
	return os.WriteFile(memory, []byte(strconv.Itoa(c.ports.first)+"\n"), 0o600)
}

const lockName = "lock"

// lockDir makes the directory ours until closeFiles. In a temporary one the
// lock appears under its name only once it is held: a sweep takes one that is
// there and not held for a dead cluster's.
func (c *Cluster) lockDir() error {
	path := filepath.Join(c.Dir, lockName)
	if c.temporary {
		var err error
		if c.dirLock, err = tryLock(path + ".new"); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
	var err error
	c.dirLock, err = tryLock(path)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("the directory %s is in use by another running cluster", c.Dir)
	}
	return err
}

// startAll brings the servers up: Consul and its agents, Redis and the Nomad
// server side by side, then the Nomad clients, which look for Consul once as they start and
// then only every quarter of a minute.
func (c *Cluster) startAll(ctx context.Context, o Options, bins binaries) error {
	if err := c.define(o, bins); err != nil {
		return err
	}
	if err := startTogether(ctx, c.heads()); err != nil {
		return err
	}
	return startTogether(ctx, c.NomadClients)
}

// define lays out every server's ports, directory and configuration, always in
// the same order, so that a resumed cluster has the ports it had.
func (c *Cluster) define(o Options, bins binaries) error {
	if !o.NoConsul {
		if err := c.defineConsul(bins.consul, o.TLS); err != nil {
			return err
		}
	}
	if !o.NoRedis {
		if err := c.defineRedis(bins.redis); err != nil {
			return err
		}
	}
	if len(o.Datacenters) == 0 {
		return nil
	}
	return c.defineNomad(o, bins)
}

// heads are the servers that nothing else must wait for.
func (c *Cluster) heads() []*Process {
	var ps []*Process
	for _, p := range []*Process{c.Consul, c.Redis, c.NomadServer} {
		if p != nil {
			ps = append(ps, p)
		}
	}
	return append(ps, c.ConsulAgents...)
}

// Processes lists every server of the cluster.
func (c *Cluster) Processes() []*Process { return append(c.heads(), c.NomadClients...) }

// newProcess makes the process for a server and its directory below c.Dir.
func (c *Cluster) newProcess(name, path string, ready func(context.Context) error, args ...string) (*Process, string, error) {
	dir := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, "", err
	}
	return &Process{
		Name:    name,
		LogPath: filepath.Join(c.Dir, name+".log"),
		path:    path,
		args:    args,
		env:     environment(c.Dir),
		spawn:   c.spawn,
		ready:   ready,
	}, dir, nil
}

// marker is the variable that every server and, through Nomad, every raw_exec
// task finds in its environment: it tells which cluster a process belongs to.
const marker = "GREENROOM_CLUSTER_DIR"

// environment is ours without what would change how the servers behave: an
// AWS_CA_BUNDLE alone keeps a Nomad client from starting.
func environment(dir string) []string {
	env := []string{marker + "=" + dir}
	for _, kv := range os.Environ() {
		switch prefix, _, _ := strings.Cut(kv, "_"); prefix {
		case "AWS", "NOMAD", "CONSUL", "VAULT", "GREENROOM":
		default:
			env = append(env, kv)
		}
	}
	return env
}

// startTogether starts the servers side by side and returns the first failure,
// without waiting for those that lean on the one that failed.
func startTogether(ctx context.Context, ps []*Process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(func() {
			if err := p.Restart(ctx); err != nil {
				cancel(err) // only the first counts
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
