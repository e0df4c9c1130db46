package status

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// Store is what this package needs of Redis.
type Store interface {
	// Counts returns the numbers of sessions by pool, Conditions the pools' conditions.
	Counts(ctx context.Context, pools ...string) (current, ready map[string]int, err error)
	Conditions(ctx context.Context, pools ...string) (map[string][]staging.Condition, error)
	// Rollouts returns how far pools' rollouts are; a pool of which that is not known has no entry.
	Rollouts(ctx context.Context, pools ...string) (map[string]staging.Rollout, error)
	// Usual returns how long the pools' sessions usually take to be ready, and Oldest when the
	// oldest of each pool's sessions that are not ready was created.
	Usual(ctx context.Context) (map[string]time.Duration, error)
	Oldest(ctx context.Context, pools ...string) (map[string]time.Time, error)
	// Failures returns the sessions that failed last, by pool.
	Failures(ctx context.Context) (map[string]*staging.PoolFailure, error)
	// Kept returns the failed sessions whose jobs are kept in Nomad, by pool.
	Kept(ctx context.Context) (map[string][]string, error)
	// Remarks returns what is no condition yet, by pool.
	Remarks(ctx context.Context) (map[string]string, error)
	// Activity returns what has gone on in pools recently, by the names of their configs.
	Activity(ctx context.Context, configs []staging.Config) (map[string]staging.Activity, error)
	// Trusted reports whether a scaler has lately renewed the trust in Redis's data of a zone.
	Trusted(ctx context.Context, zone string) (bool, error)
	Ping(ctx context.Context) error
	// Foreign returns the sessions of other installations, as a scaler counted them last.
	Foreign(ctx context.Context) ([]staging.Foreign, error)
}

// Histories is where Redis keeps the pools' recent histories, and what their demand asks for.
type Histories interface {
	// DemandSizes returns what the demand of pools with sizing asks for, as a scaler decided it
	// last.
	DemandSizes(ctx context.Context) (map[string]*staging.DemandSize, error)
	// NoteHistory adds the pools' numbers to their recent histories. History returns one
	// pool's, minute by minute, and the time by Redis's clock.
	NoteHistory(ctx context.Context, pools []staging.PoolNote) error
	History(ctx context.Context, pool string) (minutes []staging.Minute, now time.Time, err error)
	// Forecast returns what a pool may expect of the coming hours, as a scaler decided it last.
	Forecast(ctx context.Context, pool string) ([]staging.Forecast, error)
}

// Registry is what this package needs of Consul.
type Registry interface {
	Resources() staging.Resources
	Refresh(ctx context.Context) (staging.Resources, error)
	// StoredHistory returns what scalers stored of a pool's history since a time. Beside an
	// error it returns what could be read.
	StoredHistory(ctx context.Context, pool string, since time.Time) ([]staging.Minute, error)
	// Agents returns the brokers, gateways and scalers that are alive.
	Agents(ctx context.Context) ([]staging.Agent, error)
	Ping(ctx context.Context) error
}

// Fleet is what this package needs of Nomad.
type Fleet interface {
	Ping(ctx context.Context) error
}

// Servers are the adapters of the servers that are monitored.
type Servers struct {
	Store     Store
	Histories Histories
	Registry  Registry
	Fleet     Fleet
	// Peers returns how the peers are; nil where there is none.
	Peers func() []Peer
	// DeniedHooks says of which images Nomad denies this broker the assign hook; nil for a monitor
	// that does not know.
	DeniedHooks func() []string
}

// Monitor reports the state of the servers, zones and pools. It may be used concurrently.
type Monitor struct {
	Servers
	log          *logrus.Entry
	dependencies cache[[]Dependency]
	status       cache[Status]
}

// New returns a monitor of the servers.
func New(of Servers, log *logrus.Entry) *Monitor { return &Monitor{Servers: of, log: log} }

// Health is how well something works.
type Health string

// The values of Health.
const (
	// HealthOK: all is as wanted.
	HealthOK Health = "ok"
	// HealthDegraded: launches are served, but not as well as they could be.
	HealthDegraded Health = "degraded"
	// HealthUnavailable: no launch is served.
	HealthUnavailable Health = "unavailable"
)

// Status is one answer to whether all is well.
type Status struct {
	Health Health
	// Reasons are the reasons why not, each a sentence.
	Reasons      []string
	Dependencies []Dependency
	// Zones are in the order of their names.
	Zones []ZoneStatus
	// Peers are the greenrooms of other regions, in the order of their names.
	Peers []Peer
	// Foreign is how many sessions of other installations run in the same Nomad; 0 where
	// Redis does not answer.
	Foreign int
	// Agents are the brokers, gateways and scalers that are alive; nil where Consul does not answer.
	Agents []staging.Agent
	// deniedHooks says of which images Nomad denies this broker the assign hook.
	deniedHooks []string
	// unreadable are the resources that cannot be read, in the order of their keys.
	unreadable []staging.UnreadableResource
	// images are those that have remarks, in the order of their names.
	images []staging.Image
}

// Peer is the greenroom of another region, to which launches may cross.
type Peer struct {
	Name, Address string
	// Problem is "" while it answers.
	Problem string
}

// ZoneStatus is the state of a zone.
type ZoneStatus struct {
	Name string
	// Peer names the peer that the zone is at; "" for a zone of this region.
	Peer string
	// Trusted: a scaler works in this zone, and launches use Redis's data of it.
	Trusted bool
	// Known is false where Redis does not answer: the pools' numbers are unknown then.
	Known bool
	Pools []PoolStatus
}

// PoolStatus is a pool with its recent activity.
type PoolStatus struct {
	Pool
	Activity staging.Activity
	// Remark says what is no condition yet; "" for nothing.
	Remark string
}

// Status reports whether all is well. It never fails; what cannot be read is reported
// as unknown. The answer is at most a second old.
func (m *Monitor) Status(ctx context.Context) Status { return m.status.get(ctx, m.read) }

func (m *Monitor) read(ctx context.Context) Status {
	s := Status{Dependencies: m.Dependencies(ctx)}
	down := map[string]bool{}
	for _, d := range s.Dependencies {
		down[d.Name] = d.Problem != ""
	}
	if m.Peers != nil {
		s.Peers = m.Peers()
	}
	if m.DeniedHooks != nil {
		s.deniedHooks = m.DeniedHooks()
	}
	if !down[Redis] {
		s.Foreign = m.foreign(ctx)
	}
	if !down[Consul] {
		s.Agents = m.agents(ctx)
	}
	resources := m.resources(ctx, down[Consul])
	for _, key := range slices.Sorted(maps.Keys(resources.Unreadable)) {
		s.unreadable = append(s.unreadable, resources.Unreadable[key])
	}
	for _, name := range slices.Sorted(maps.Keys(resources.Images)) {
		if i := resources.Images[name]; len(i.Remarks()) > 0 {
			s.images = append(s.images, i)
		}
	}
	configs := byName(resources.Configs)
	pools, activity, known := m.poolsNow(ctx, configs, down[Redis])
	remarks := m.remarks(ctx, known)
	zones := map[string]*ZoneStatus{}
	for _, name := range resources.ZoneNames() {
		zones[name] = &ZoneStatus{Name: name, Known: known, Peer: resources.Zones[name].Peer}
	}
	for i, c := range configs {
		z := zones[c.Zone]
		if z == nil {
			// The config's zone is gone; its conditions report that.
			z = &ZoneStatus{Name: c.Zone, Known: known}
			zones[c.Zone] = z
		}
		z.Pools = append(z.Pools, PoolStatus{Pool: pools[i], Activity: activity[c.Name], Remark: remarks[c.Name]})
	}
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		z := *zones[name]
		z.Trusted = known && m.trusted(ctx, name)
		s.Zones = append(s.Zones, z)
	}
	return s.Judged()
}

// resources reads the resources from Consul, or returns the copy in memory where Consul
// does not answer.
func (m *Monitor) resources(ctx context.Context, consulDown bool) staging.Resources {
	if !consulDown {
		ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
		defer cancel()
		if now, err := m.Registry.Refresh(ctx); err == nil {
			return now
		}
	}
	return m.Registry.Resources()
}

// poolsNow returns the configs' pools with their activity; known is false where Redis does
// not answer.
func (m *Monitor) poolsNow(ctx context.Context, configs []staging.Config, redisDown bool) (pools []Pool, activity map[string]staging.Activity, known bool) {
	if !redisDown {
		found, err := m.Pools(ctx, configs)
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
			defer cancel()
			if activity, err = m.Store.Activity(ctx, configs); err == nil {
				return found, activity, true
			}
		}
		m.log.WithError(err).Warn("cannot read the pools' numbers from Redis; the status reports them as unknown")
	}
	for _, c := range configs {
		pools = append(pools, Pool{Config: c, Wanted: sizing.Wanted(c, nil, time.Now())})
	}
	return pools, nil, false
}

// remarks returns the remarks on pools; none where Redis does not answer.
func (m *Monitor) remarks(ctx context.Context, known bool) map[string]string {
	if !known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	all, err := m.Store.Remarks(ctx)
	if err != nil {
		return nil // the dependencies of the status show that Redis does not answer
	}
	return all
}

// foreign returns how many sessions of other installations run; 0 if that is unknown.
func (m *Monitor) foreign(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	all, err := m.Store.Foreign(ctx)
	if err != nil {
		return 0 // the dependencies of the status show that Redis does not answer
	}
	sum := 0
	for _, f := range all {
		sum += f.Sessions
	}
	return sum
}

// agents returns the brokers, gateways and scalers that are alive; nil if that is unknown.
func (m *Monitor) agents(ctx context.Context) []staging.Agent {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	all, err := m.Registry.Agents(ctx)
	if err != nil {
		return nil // the dependencies of the status show that Consul does not answer
	}
	return all
}

func (m *Monitor) trusted(ctx context.Context, zone string) bool {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	ok, err := m.Store.Trusted(ctx, zone)
	return err == nil && ok
}

// worsen lowers the health and adds a reason. Unavailable stays unavailable.
func (s *Status) worsen(health Health, format string, args ...any) {
	if s.Health != HealthUnavailable {
		s.Health = health
	}
	s.Reasons = append(s.Reasons, fmt.Sprintf(format, args...))
}

// Judged returns the status with its health and reasons, which follow from the rest.
func (s Status) Judged() Status {
	s.Health, s.Reasons = HealthOK, nil
	for _, d := range s.Dependencies {
		if d.Problem == "" {
			continue
		}
		health := HealthUnavailable
		if d.Name == Redis {
			// Launches use Consul meanwhile.
			health = HealthDegraded
		}
		s.worsen(health, "%s %s", d.Name, d.Problem)
	}
	for _, p := range s.Peers {
		if p.Problem != "" {
			s.worsen(HealthDegraded, "peer %s at %s: %s; launches do not cross to it, and its sessions go on", p.Name, p.Address, p.Problem)
		}
	}
	for _, z := range s.Zones {
		if z.Peer != "" && !slices.ContainsFunc(s.Peers, func(p Peer) bool { return p.Name == z.Peer }) {
			s.worsen(HealthDegraded, "zone %s is at peer %s, which is not in this broker's configuration: launches do not cross to it", z.Name, z.Peer)
		}
	}
	for _, denied := range s.deniedHooks {
		s.worsen(HealthDegraded, "%s", denied)
	}
	for _, u := range s.unreadable {
		s.worsen(HealthDegraded, "%s", u)
	}
	for _, z := range s.Zones {
		s.judge(z)
	}
	return s
}

// judge adds a reason for each thing that is not well in a zone.
func (s *Status) judge(z ZoneStatus) {
	if len(z.Pools) > 0 && z.Known && !z.Trusted {
		s.worsen(HealthDegraded, "no scaler is at work in zone %s: its pools are not kept, and launches there use Consul", z.Name)
	}
	for _, p := range z.Pools {
		for _, c := range p.Conditions {
			s.worsen(HealthDegraded, "staging config %s: %s: %s", p.Name, c.Type, c.Message)
		}
		if len(p.Conditions) == 0 && p.Fill.Degraded() {
			s.worsen(HealthDegraded, "staging config %s: %s", p.Name, p.Lack)
		}
	}
}
