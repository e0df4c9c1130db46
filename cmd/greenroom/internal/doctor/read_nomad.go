package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// maxNodes bounds the nodes whose settings are read, readAtOnce those at a time.
	maxNodes   = 100
	readAtOnce = 8
)

// nomadSelf is what Nomad says of an agent.
type nomadSelf struct {
	Config struct {
		Version struct{ Version string }
		Server  struct {
			Enabled                                               bool
			EventBufferSize                                       int
			JobGCThreshold, EvalGCThreshold, BatchEvalGCThreshold string
		}
		Client struct {
			Enabled        bool
			MaxKillTimeout string
		}
		Limits struct{ HTTPMaxConnsPerClient int }
		ACL    struct{ Enabled bool }
	} `json:"config"`
}

// nomadReader reads the agents of the Nomad behind one address.
type nomadReader struct {
	settings nomadapi.Config
	base     *url.URL
	mu       sync.Mutex
	facts    nomadFacts
}

// readNomad reads what can be read of Nomad with an agent's settings.
func readNomad(ctx context.Context, settings nomadapi.Config) nomadFacts {
	base, err := url.Parse(settings.Address)
	if err != nil {
		return nomadFacts{err: fmt.Errorf("nomad: %w", err)}
	}
	r := &nomadReader{settings: settings, base: base}
	if err := r.read(ctx); err != nil {
		return nomadFacts{err: fmt.Errorf("nomad at %s: %w; --nomad-address or NOMAD_ADDR names another", settings.Address, err)}
	}
	byName := func(a, b nomadAgent) int { return strings.Compare(a.name, b.name) }
	slices.SortFunc(r.facts.servers, byName)
	slices.SortFunc(r.facts.clients, byName)
	slices.Sort(r.facts.missing)
	slices.Sort(r.facts.withoutConsul)
	return r.facts
}

func (r *nomadReader) read(ctx context.Context) error {
	c, err := r.client(r.settings.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	q := (&nomadapi.QueryOptions{}).WithContext(ctx)
	var leader string
	if _, err := c.Raw().Query("/v1/status/leader", &leader, q); err != nil {
		return err
	}
	r.tryRights(ctx, c)
	r.readBrokers(ctx, c)
	var g errgroup.Group
	g.SetLimit(readAtOnce)
	defer func() { _ = g.Wait() }() // the reads note their errors
	r.readServers(ctx, c, &g)
	nodes, _, err := c.Nodes().List(q)
	if err != nil {
		return nil //nolint:nilerr // tryRights has noted it
	}
	read := 0
	for _, n := range nodes {
		if n.Status != nomadapi.NodeStatusReady {
			r.miss(n.Name + " is " + n.Status)
			continue
		}
		if read++; read > maxNodes {
			r.miss(fmt.Sprintf("%d more nodes", len(nodes)-maxNodes))
			break
		}
		g.Go(func() error { r.readNode(ctx, c, n); return nil })
	}
	return nil
}

// readServers reads the configured agent and the servers. Nomad does not say at which port a server
// takes HTTP: it is tried at the configured agent's.
func (r *nomadReader) readServers(ctx context.Context, c *nomadapi.Client, g *errgroup.Group) {
	hosts := map[string]string{r.base.Host: r.base.Host}
	if members, err := c.Agent().Members(); err == nil {
		for _, m := range members.Members {
			if m.Status == "alive" && m.Tags["region"] == members.ServerRegion {
				hosts[net.JoinHostPort(m.Addr, r.base.Port())] = m.Name
			}
		}
	}
	for host, name := range hosts {
		g.Go(func() error {
			self, err := r.self(ctx, host)
			switch {
			case err != nil:
				r.miss(name + ": " + err.Error())
			case self.Config.Server.Enabled:
				r.add(&r.facts.servers, agentOf(name, self))
			}
			return nil
		})
	}
}

func (r *nomadReader) readNode(ctx context.Context, c *nomadapi.Client, n *nomadapi.NodeListStub) {
	node, _, err := c.Nodes().Info(n.ID, (&nomadapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		r.miss(n.Name + ": " + err.Error())
		return
	}
	if node.Attributes["consul.version"] == "" {
		r.mu.Lock()
		r.facts.withoutConsul = append(r.facts.withoutConsul, n.Name)
		r.mu.Unlock()
	}
	self, err := r.self(ctx, node.HTTPAddr)
	if err != nil {
		r.miss(n.Name + ": " + err.Error())
		return
	}
	r.add(&r.facts.clients, agentOf(n.Name, self))
}

// self reads the settings of the agent at a host and port.
func (r *nomadReader) self(ctx context.Context, host string) (self nomadSelf, err error) {
	at := *r.base
	at.Host = host
	c, err := r.client(at.String())
	if err != nil {
		return self, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = c.Raw().Query("/v1/agent/self", &self, (&nomadapi.QueryOptions{}).WithContext(ctx))
	if denied(err) {
		err = errors.New(`needs a token with agent { policy = "read" }`)
	}
	return self, err
}

// client returns a client of the agent at an address. Its settings are new ones: a client writes the
// address's parts to those that it is made from, and they would count for the next one, too.
func (r *nomadReader) client(address string) (*nomadapi.Client, error) {
	s := nomadapi.DefaultConfig()
	s.Address, s.SecretID, s.TLSConfig, s.Namespace = address, r.settings.SecretID, r.settings.TLSConfig, ""
	return nomadapi.NewClient(s)
}

func agentOf(name string, s nomadSelf) nomadAgent {
	return nomadAgent{
		name: name, version: s.Config.Version.Version, eventBuffer: s.Config.Server.EventBufferSize,
		jobGC: s.Config.Server.JobGCThreshold, evalGC: s.Config.Server.EvalGCThreshold, batch: s.Config.Server.BatchEvalGCThreshold,
		connections: s.Config.Limits.HTTPMaxConnsPerClient, maxKillTimeout: s.Config.Client.MaxKillTimeout, acl: s.Config.ACL.Enabled,
	}
}

func (r *nomadReader) add(to *[]nomadAgent, a nomadAgent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(*to, func(b nomadAgent) bool { return b == a }) {
		*to = append(*to, a)
	}
}

func (r *nomadReader) miss(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.missing = append(r.facts.missing, why)
}

// tryRights makes the reads that a scaler makes.
func (r *nomadReader) tryRights(ctx context.Context, c *nomadapi.Client) {
	q := func() *nomadapi.QueryOptions {
		return (&nomadapi.QueryOptions{Namespace: nomadapi.AllNamespacesNamespace, Prefix: staging.SessionPrefix, PerPage: 1}).WithContext(ctx)
	}
	_, _, jobs := c.Jobs().List(q())
	_, _, allocations := c.Allocations().List(q())
	_, _, nodes := c.Nodes().List((&nomadapi.QueryOptions{PerPage: 1}).WithContext(ctx))
	_, parse := c.Raw().Write("/v1/jobs/parse", &nomadapi.JobsParseRequest{JobHCL: `job "j" {}`}, nil, (&nomadapi.WriteOptions{}).WithContext(ctx))
	for _, try := range []struct {
		err  error
		what string
	}{{jobs, "list jobs"}, {allocations, "list allocations"}, {nodes, "list nodes"}, {parse, "parse jobspecs"}} {
		if denied(try.err) {
			r.facts.denied = append(r.facts.denied, try.what)
		}
	}
}

// denied reports whether Nomad refused a call for lack of a right.
func denied(err error) bool {
	var response nomadapi.UnexpectedResponseError
	return errors.As(err, &response) && (response.StatusCode() == http.StatusForbidden || response.StatusCode() == http.StatusUnauthorized)
}
