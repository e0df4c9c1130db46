package consulhealth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// SessionMeta is the key in a service instance's metadata that names its session.
const SessionMeta = "greenroom_session"

// What package nomadfleet writes into an assigned session's metadata.
const (
	stateMeta     = "greenroom_state"
	stateAssigned = "assigned"
)

// Bounds of a watch: how long one blocking query stays open, and the pause between two.
// Each query gives all instances anew, of which a busy pool has one that changes at any
// moment: the pause grows with how many there are, so that what a watch costs Consul
// and its reader does not grow with the square of the pool.
const (
	watchWait        = time.Minute
	shortestPause    = 50 * time.Millisecond
	pausePerInstance = time.Millisecond
	longestPause     = time.Second
)

func watchPause(instances int) time.Duration {
	return min(max(shortestPause, time.Duration(instances)*pausePerInstance), longestPause)
}

// Health reads the health of sessions.
type Health struct {
	health *api.Health
}

// New returns a reader of the Consul that client speaks to.
func New(client *api.Client) *Health { return &Health{health: client.Health()} }

// Watch calls emit with all instances of a service as they are, and again
// whenever one changes, until ctx is done or Consul fails; it returns why.
func (h *Health) Watch(ctx context.Context, service string, emit func([]staging.Health)) error {
	return h.watch(ctx, service, "", func(found []staging.Health) bool {
		emit(found)
		return true
	})
}

// WaitPassing returns when the given session's instance passes its checks, or
// when ctx is done, or Consul fails.
func (h *Health) WaitPassing(ctx context.Context, service, session string) error {
	filter := fmt.Sprintf("Service.Meta.%s == %q", SessionMeta, session)
	return h.watch(ctx, service, filter, func(found []staging.Health) bool {
		for _, i := range found {
			if i.Session == session && i.Passing {
				return false
			}
		}
		return true
	})
}

// Passing reads a service's instances that pass their checks, as they are now.
func (h *Health) Passing(ctx context.Context, service string) ([]staging.Health, error) {
	entries, _, err := h.health.Service(service, "", true, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return instances(entries), nil
}

// watch runs blocking queries while more wants them.
func (h *Health) watch(ctx context.Context, service, filter string, more func([]staging.Health) bool) error {
	var index uint64
	for {
		q := (&api.QueryOptions{WaitIndex: index, WaitTime: watchWait, Filter: filter}).WithContext(ctx)
		entries, meta, err := h.health.Service(service, "", false, q)
		if err != nil {
			return err
		}
		if meta.LastIndex < index {
			index = 0
			continue
		}
		if meta.LastIndex != index && !more(instances(entries)) {
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

func instances(entries []*api.ServiceEntry) []staging.Health {
	found := make([]staging.Health, 0, len(entries))
	for _, e := range entries {
		found = append(found, staging.Health{
			Session: e.Service.Meta[SessionMeta],
			AllocID: allocID(e.Service.ID), Assigned: e.Service.Meta[stateMeta] == stateAssigned,
			Passing: e.Checks.AggregatedStatus() == api.HealthPassing,
		})
	}
	return found
}

// allocID takes the allocation out of the service id that Nomad gives:
// _nomad-task-<alloc id>-group-<group>-<service>-<port>, where the id is a
// UUID of 36 characters.
func allocID(serviceID string) string {
	const uuid = 36
	rest, ok := strings.CutPrefix(serviceID, "_nomad-task-")
	if !ok || len(rest) < uuid {
		return ""
	}
	return rest[:uuid]
}
