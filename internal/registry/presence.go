package registry

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// The services whose instances are the brokers and the gateways that are alive, in an installation
// with the default prefix.
const (
	presenceService        = "greenroom-broker-presence"
	gatewayPresenceService = "greenroom-gateway-presence"
)

// Times of a broker's presence. A broker that stands still for longer than presenceTTL
// counts as dead, so it is longer than a busy machine makes a program wait.
const (
	presenceTTL  = 10 * time.Second
	presenceBeat = time.Second
	// presenceCall bounds one heartbeat.
	presenceCall = 2 * time.Second
)

// Presence shows in Consul that a broker or a gateway is alive: a scaler can end at once what a
// broker left that died, and the status has the versions of all. It decides nothing: the fate records do.
type Presence struct {
	heartbeat
	id string

	mu         sync.Mutex
	validUntil time.Time
}

// NewPresence returns the presence of the broker with an id, which must be its own. address
// is shown to people.
func (r *Registry) NewPresence(client *api.Client, id, address string) *Presence {
	return r.newPresence(client, presenceService, staging.AgentBroker, id, address)
}

// NewGatewayPresence is NewPresence of a gateway.
func (r *Registry) NewGatewayPresence(client *api.Client, id, address string) *Presence {
	return r.newPresence(client, gatewayPresenceService, staging.AgentGateway, id, address)
}

func (r *Registry) newPresence(client *api.Client, name, kind, id, address string) *Presence {
	service := r.service(name)
	serviceID := service + "-" + id
	return &Presence{id: id, heartbeat: heartbeat{
		agent: client.Agent(), service: service, serviceID: serviceID, checkID: serviceID + "-lives",
		check: kind + " lives", note: "the " + kind + " is alive", ttl: presenceTTL, meta: shown(address, ""),
	}}
}

// Show makes Consul show the agent's version. Call it before Run.
func (p *Presence) Show(version string) { p.meta[metaVersion] = version }

// ID returns the agent's id while Consul certainly shows it as alive, else "".
func (p *Presence) ID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().After(p.validUntil) {
		return ""
	}
	return p.id
}

// Run renews the presence until ctx is done, then ends it. It passes errors to report.
func (p *Presence) Run(ctx context.Context, report func(error)) {
	again := time.NewTicker(presenceBeat)
	defer again.Stop()
	for {
		if err := p.renew(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), presenceCall)
			defer cancel()
			if err := p.end(end); err != nil {
				report(err)
			}
			return
		case <-again.C:
		}
	}
}

func (p *Presence) renew(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, presenceCall)
	defer cancel()
	if _, err := p.beat(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.validUntil = began.Add(presenceTTL - presenceBeat)
	return nil
}

// Brokers reads the brokers that Consul has, by id, and whether each is alive.
func (r *Registry) Brokers(ctx context.Context) (map[string]bool, error) {
	service := r.service(presenceService)
	found, _, err := r.health.Service(service, "", false, query(ctx))
	if err != nil {
		return nil, callError(err, "read the health of service %s", service)
	}
	alive := make(map[string]bool, len(found))
	for _, e := range found {
		id := strings.TrimPrefix(e.Service.ID, service+"-")
		alive[id] = e.Checks.AggregatedStatus() != api.HealthCritical
	}
	return alive, nil
}
