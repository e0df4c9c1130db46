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

// Options are the parts of a cluster. The zero value is Consul and Redis without
// Nomad.
type Options struct {
	// Dir holds the servers' data. It is created if missing, and a later Start in it
	// resumes the cluster. If it is "", the cluster uses a temporary directory, which
	// Stop removes.
	Dir string
	// Datacenters are Nomad's datacenters. Each has one client process. If there are
	// none, the cluster has no Nomad.
	Datacenters []string
	// Region is Nomad's region, and the name of Consul's datacenter; "" for the servers' defaults.
	// See Federate.
	Region string
	// Docker enables the docker driver in the Nomad clients. Start fails if the driver
	// is not healthy.
	Docker bool
	// CPU (MHz) and MemoryMB are the resources that each Nomad client reports. 0 stands
	// for room for some thousands of small sessions, independent of the machine.
	CPU, MemoryMB int
	// NoConsul and NoRedis omit that server. Nomad needs Consul.
	NoConsul, NoRedis bool
	// TLS makes Nomad's agents serve https only. Consul's server serves https in
	// addition to http, and there requires client certificates from the same authority.
	// With nil, all servers use plain http.
	TLS *TLSFiles
	// NomadACL makes Nomad check tokens. Requests without a token may do everything, so
	// that only agents with a token are restricted; see SetNomadPolicy and NewNomadToken.
	NomadACL bool
	// Progress receives lines about slow steps, such as a first build of Nomad or
	// Consul. It may be nil.
	Progress io.Writer
}

// TLSFiles are paths of PEM files: a certificate for 127.0.0.1 and client.global.nomad,
// its key, and the authority that signed it.
type TLSFiles struct{ CA, Cert, Key string }

// Cluster is a set of running servers.
type Cluster struct {
	// Dir holds the configuration, data and log of each server.
	Dir string
	// NomadAddr and ConsulAddr are URLs such as http://127.0.0.1:10000, or "" if the
	// cluster does not have that server.
	NomadAddr, ConsulAddr string
	// ConsulHTTPS is Consul's https URL, or "" without Options.TLS.
	ConsulHTTPS string
	// RedisAddr is host:port, or "" if the cluster has no Redis.
	RedisAddr string
	// Consul, Redis, NomadServer and NomadClients (in the order of
	// Options.Datacenters) are the processes, nil for servers that the cluster does
	// not have.
	Consul, Redis, NomadServer *Process
	NomadClients               []*Process
	// ConsulAgents are the agents of all datacenters except the first. There the Nomad
	// client uses the Consul server.
	ConsulAgents []*Process

	// nomadSerf is the address at which Nomad's servers of other regions join this one.
	nomadSerf string
	temporary bool
	docker    bool
	nomadACL  bool
	// consulJoin is the address at which Consul's agents join its server.
	consulJoin string
	dirLock    *os.File
	ports      *portLease
	spawn      *spawner

	stopOnce sync.Once
	stopErr  error
}

// startTimeout limits the start of one server until it answers: it only finds one that hangs. A
// server that takes two seconds on an idle machine may take minutes on a small busy one.
const startTimeout = 5 * time.Minute

// stopGrace is how long a server may take to end before it is killed. One that is killed may lose
// what it has not stored yet, so a slow machine must not reach it.
const stopGrace = 20 * time.Second

var errStartTimeout = fmt.Errorf("no answer within %v", startTimeout)

// Start starts the servers and returns once all of them answer. If it fails, no server
// keeps running. If a server does not start, the error is a *StartError. First Start
// looks up the servers' programs and builds missing ones, which takes minutes once.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if len(o.Datacenters) > 0 && o.NoConsul {
		return nil, errors.New("devcluster: Nomad needs Consul for the health checks of its sessions")
	}
	bins, err := findServers(ctx, o)
	if err != nil {
		return nil, err
	}
	sweepStale(ctx)
	c := &Cluster{docker: o.Docker, nomadACL: o.NomadACL}
	if err := c.prepare(o); err != nil {
		if c.temporary {
			err = errors.Join(err, os.RemoveAll(c.Dir))
		}
		c.release()
		return nil, err
	}
	if err := c.startAll(ctx, o, bins); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// tempPrefix is the prefix of the directory names of temporary clusters.
const tempPrefix = "greenroom-run-"

// prepare creates and locks the directory and leases the ports.
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
	// The kernel lists mounts and processes by their real paths, and scrub compares them.
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
	// A resumed cluster gets the ports of its last run if they are free.
	portsFile := filepath.Join(dir, "ports")
	prefer := 0
	if b, err := os.ReadFile(portsFile); err == nil {
		prefer, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if c.ports, err = leasePorts(blocks, prefer); err != nil {
		return err
	}
	c.spawn = newSpawner()
	return os.WriteFile(portsFile, []byte(strconv.Itoa(c.ports.first)+"\n"), 0o600)
}

const lockName = "lock"

// lockDir locks the directory until release. In a temporary directory the lock file
// gets its final name only after it is locked, because sweepStale takes an unlocked
// file of that name for a dead cluster's.
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

// startAll starts Consul, its agents, Redis and the Nomad server concurrently, and
// after them the Nomad clients. A Nomad client looks for Consul when it starts, and
// then only every 15 seconds, so Consul must be there first.
func (c *Cluster) startAll(ctx context.Context, o Options, bins binaries) error {
	if err := c.define(o, bins); err != nil {
		return err
	}
	if err := startConcurrently(ctx, c.independent()); err != nil {
		return err
	}
	return startConcurrently(ctx, c.NomadClients)
}

// define assigns ports, directories and configurations to all servers. The order never
// changes, so that a resumed cluster gets the same ports again.
func (c *Cluster) define(o Options, bins binaries) error {
	if !o.NoConsul {
		if err := c.defineConsul(bins.consul, o.Region, o.TLS); err != nil {
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

// independent returns the servers that start without waiting for others.
func (c *Cluster) independent() []*Process {
	var ps []*Process
	for _, p := range []*Process{c.Consul, c.Redis, c.NomadServer} {
		if p != nil {
			ps = append(ps, p)
		}
	}
	return append(ps, c.ConsulAgents...)
}

// Processes returns all servers of the cluster.
func (c *Cluster) Processes() []*Process { return append(c.independent(), c.NomadClients...) }

// newProcess returns a process for a server and creates its directory below c.Dir.
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

// marker is an environment variable of every server and, through Nomad, of every
// raw_exec task. Its value identifies the cluster that a process belongs to.
const marker = "GREENROOM_CLUSTER_DIR"

// environment returns our environment without variables that change the servers'
// behaviour: AWS_CA_BUNDLE, for example, keeps a Nomad client from starting.
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

// startConcurrently starts the servers concurrently. At the first failure it cancels
// the other starts, which may depend on the server that failed, and returns its error.
func startConcurrently(ctx context.Context, ps []*Process) error {
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
