package registry

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

// heartbeat shows in Consul that a program is alive: a service with a TTL check, which the
// program renews.
type heartbeat struct {
	agent                       *api.Agent
	service, serviceID, checkID string
	// check is the check's name, note its output while it passes.
	check, note string
	ttl         time.Duration
	meta        map[string]string
}

// beat renews the check. If Consul does not have it, beat registers service and check, and
// registered is true, also beside an error.
func (h heartbeat) beat(ctx context.Context) (registered bool, err error) {
	err = h.agent.UpdateTTLOpts(h.checkID, h.note, api.HealthPassing, query(ctx))
	var status api.StatusError
	if !errors.As(err, &status) || status.Code != 404 && status.Code != 500 {
		return false, callError(err, "renew check %s", h.checkID)
	}
	err = h.agent.ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: h.serviceID, Name: h.service, Meta: h.meta,
		Check: &api.AgentServiceCheck{
			CheckID: h.checkID, Name: h.check, TTL: h.ttl.String(), Status: api.HealthPassing,
			DeregisterCriticalServiceAfter: "1m",
		},
	}, api.ServiceRegisterOpts{}.WithContext(ctx))
	return true, callError(err, "register service %s", h.serviceID)
}

// end deregisters the service.
func (h heartbeat) end(ctx context.Context) error {
	return callError(h.agent.ServiceDeregisterOpts(h.serviceID, query(ctx)), "deregister service %s", h.serviceID)
}
