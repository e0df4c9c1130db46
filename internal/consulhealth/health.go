package consulhealth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// SessionMeta is the key of the session id in a service instance's metadata.
const SessionMeta = "greenroom_session"

// generationMeta is the key of the generation in it; package nomadfleet writes both.
const generationMeta = "greenroom_generation"

// Bounds of a watch: how long one blocking query stays open, and the pause between two.
// Each query returns all instances, and in a busy pool some instance changes at any
// moment. The pause therefore grows with the number of instances. Otherwise the cost of a
// watch, for Consul and its reader, would grow with the square of the pool's size.
const (
	watchWait        = time.Minute
	shortestPause    = 50 * time.Millisecond
	pausePerInstance = time.Millisecond
	longestPause     = time.Second
)

// watchPause returns the pause after a query that returned so many instances.
func watchPause(instances int) time.Duration {
	return min(max(shortestPause, time.Duration(instances)*pausePerInstance), longestPause)
}

// installationMeta is the key of the installation's id in a service instance's metadata.
const installationMeta = "greenroom_installation"

// schemaMeta is the key of the version of that metadata.
const schemaMeta = "greenroom_schema"

// Health reads the health of sessions.
type Health struct {
	health *api.Health
	turns  *turns
	names  staging.Names
	// installation returns whose sessions are read; nil for those of every installation.
	installation func() (staging.Installation, error)
}

// errHidden means that an answer of Consul is no observation: instances may be missing from
// it, and a session that it lacks is not known to be unhealthy.
var errHidden = errors.New("consul hides some of the instances from this token; let its policy read the services greenroom-* and all nodes again")

// read reads the instances of a service. Consul silently leaves out what the token may not
// read: then the error is errHidden.
func (h *Health) read(service string, passingOnly bool, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	entries, meta, err := h.health.Service(service, "", passingOnly, q)
	if err == nil && meta.ResultsFilteredByACLs {
		err = errHidden
	}
	return entries, meta, err
}

// New returns a reader of client's Consul, for sessions of every installation under their
// default names.
func New(client *api.Client) *Health {
	return &Health{health: client.Health(), turns: newTurns(maxQueries), names: staging.DefaultNames}
}

// For returns a reader of one installation's sessions alone. The services have its names:
// methods take those of an installation with the default prefix. While installation
// returns an error, the reads return it.
func (h *Health) For(names staging.Names, installation func() (staging.Installation, error)) *Health {
	return &Health{health: h.health, turns: h.turns, names: names, installation: installation}
}

// Watch calls emit with all instances of a service, and again after each change, until ctx
// is done or Consul fails. It returns that error. It may be called for any number of
// services: beyond a number of queries that Consul accepts, the watches take turns.
func (h *Health) Watch(ctx context.Context, service string, emit func([]staging.Health)) error {
	defer h.turns.join()()
	return h.watch(ctx, service, "", h.turns.take, func(found []staging.Health) bool {
		emit(found)
		return true
	})
}

// WaitPassing waits until the session's instance passes its checks. It returns an error if
// ctx is done or Consul fails before that.
func (h *Health) WaitPassing(ctx context.Context, service, session string) error {
	filter := fmt.Sprintf("Service.Meta.%s == %q", SessionMeta, session)
	return h.watch(ctx, service, filter, ownQuery, func(found []staging.Health) bool {
		for _, i := range found {
			if i.Session == session && i.Passing {
				return false
			}
		}
		return true
	})
}

// Passing reads the instances of a service that pass their checks now.
func (h *Health) Passing(ctx context.Context, service string) ([]staging.Health, error) {
	service = h.names.Service(service)
	entries, _, err := h.read(service, true, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("consul: read the passing instances of service %s: %w", service, err)
	}
	return h.instances(entries)
}

// FailingCheck reads the check for which a session is failing now; zero for none.
func (h *Health) FailingCheck(ctx context.Context, s staging.Session) (staging.FailingCheck, error) {
	service := h.names.Service(s.Service())
	q := &api.QueryOptions{Filter: fmt.Sprintf("Service.Meta.%s == %q", SessionMeta, s.ID)}
	entries, _, err := h.read(service, false, q.WithContext(ctx))
	if err != nil {
		return staging.FailingCheck{}, fmt.Errorf("consul: read the checks of session %s: %w", s.ID, err)
	}
	found, err := h.instances(entries)
	if err != nil {
		return staging.FailingCheck{}, err
	}
	for _, i := range found {
		if i.Session == s.ID && (s.AllocID == "" || i.AllocID == s.AllocID) {
			return i.Check, nil
		}
	}
	return staging.FailingCheck{}, nil
}

// watch runs blocking queries, each in a turn from take, until more returns false.
func (h *Health) watch(ctx context.Context, service, filter string, take func(context.Context) (turn, error), more func([]staging.Health) bool) error {
	service = h.names.Service(service)
	var index uint64
	for {
		turn, err := take(ctx)
		if err != nil {
			return err
		}
		q := (&api.QueryOptions{WaitIndex: index, WaitTime: turn.wait, Filter: filter}).WithContext(turn.ctx)
		entries, meta, err := h.read(service, false, q)
		cutShort := err != nil && turn.cutShort()
		turn.end()
		if cutShort {
			continue
		}
		if err != nil {
			return fmt.Errorf("consul: watch the instances of service %s: %w", service, err)
		}
		if meta.LastIndex < index {
			index = 0
			continue
		}
		found, err := h.instances(entries)
		if err != nil {
			return err
		}
		if meta.LastIndex != index && !more(found) {
			return nil
		}
		index = meta.LastIndex
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPause(len(entries))):
		}
	}
}

// instances returns the health of the installation's own sessions. A service may have
// instances of another one: Nomad registers the sessions of both in its own Consul. Those of a
// newer greenroom are left out, as their jobs are.
func (h *Health) instances(entries []*api.ServiceEntry) ([]staging.Health, error) {
	var own staging.Installation
	if h.installation != nil {
		var err error
		if own, err = h.installation(); err != nil {
			return nil, err
		}
	}
	found := make([]staging.Health, 0, len(entries))
	for _, e := range entries {
		id := e.Service.Meta[installationMeta]
		if h.installation != nil && !own.Owns(id) || staging.OfNewerSchema(e.Service.Meta[schemaMeta]) {
			continue
		}
		generation, _ := strconv.ParseUint(e.Service.Meta[generationMeta], 10, 64)
		check, failing := failingCheck(e.Checks)
		found = append(found, staging.Health{
			TakenOver:  h.installation != nil && own.TookOver(id),
			Generation: generation,
			Session:    e.Service.Meta[SessionMeta],
			AllocID:    allocID(e.Service.ID), Port: e.Service.Port,
			Passing: e.Checks.AggregatedStatus() == api.HealthPassing,
			Failing: failing, Check: check,
		})
	}
	return found, nil
}

// failingCheck returns the first check of an instance's own that is critical, by name; false
// for none, and where the node's agent is gone.
func failingCheck(all api.HealthChecks) (staging.FailingCheck, bool) {
	var first *api.HealthCheck
	for _, c := range all {
		if agentLost(c) {
			return staging.FailingCheck{}, false
		}
		if ownAndCritical(c) && (first == nil || c.Name < first.Name) {
			first = c
		}
	}
	if first == nil {
		return staging.FailingCheck{}, false
	}
	return staging.NewFailingCheck(first.Name, first.Output), true
}

// ownAndCritical reports whether a check is the instance's own and critical. A node's checks
// have no service, and the check with which Consul shows the maintenance mode of an instance
// is an operator's.
func ownAndCritical(c *api.HealthCheck) bool {
	return c.ServiceID != "" && c.Status == api.HealthCritical && !strings.HasPrefix(c.CheckID, api.ServiceMaintPrefix)
}

// serfHealth is the check with which Consul shows whether a node's agent is alive.
const serfHealth = "serfHealth"

// agentLost reports whether a check shows that the node's agent is gone: then nobody runs the
// instance's own checks, and their last results say nothing of now.
func agentLost(c *api.HealthCheck) bool {
	return c.ServiceID == "" && c.CheckID == serfHealth && c.Status == api.HealthCritical
}

// allocID returns the allocation's id from the id that Nomad gives a service:
// _nomad-task-<alloc id>-group-<group>-<service>-<port>, where <alloc id> is a UUID of 36
// characters. It returns "" for any other id.
func allocID(serviceID string) string {
	const uuid = 36
	rest, ok := strings.CutPrefix(serviceID, "_nomad-task-")
	if !ok || len(rest) < uuid {
		return ""
	}
	return rest[:uuid]
}
