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
	// registeredAt is when the service was last registered.
	registeredAt time.Time
}

// registerAgain is how long a registration is left as it is. Consul's agent keeps the token that
// a service was registered with, and tells the servers of the check with that one alone: once it is
// revoked, a check of a program that died would go on passing there.
const registerAgain = 10 * time.Second

// beat renews the check. If Consul does not have it, beat registers service and check, and
// registered is true, also beside an error.
func (h *heartbeat) beat(ctx context.Context) (registered bool, err error) {
	err = h.agent.UpdateTTLOpts(h.checkID, h.note, api.HealthPassing, query(ctx))
	var status api.StatusError
	switch {
	case errors.As(err, &status) && (status.Code == 404 || status.Code == 500):
		return true, h.register(ctx)
	case err != nil:
		return false, callError(err, "renew check %s", h.checkID)
	case time.Since(h.registeredAt) >= registerAgain:
		return false, h.register(ctx)
	}
	return false, nil
}

// register registers the service with its check, or does so again, with the token of now.
func (h *heartbeat) register(ctx context.Context) error {
	err := h.agent.ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: h.serviceID, Name: h.service, Meta: h.meta,
		Check: &api.AgentServiceCheck{
			CheckID: h.checkID, Name: h.check, TTL: h.ttl.String(), Status: api.HealthPassing,
			DeregisterCriticalServiceAfter: "1m",
		},
	}, api.ServiceRegisterOpts{}.WithContext(ctx))
	if err == nil {
		h.registeredAt = time.Now()
	}
	return callError(err, "register service %s", h.serviceID)
}

// end deregisters the service.
func (h *heartbeat) end(ctx context.Context) error {
	return callError(h.agent.ServiceDeregisterOpts(h.serviceID, query(ctx)), "deregister service %s", h.serviceID)
}
