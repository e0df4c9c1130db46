package registry

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Keys of the meta of the services by which agents show that they are alive.
const (
	metaAddress = "greenroom_address"
	metaVersion = "greenroom_version"
)

// Agents reads the brokers, gateways and scalers that are alive, by kind and address. A scaler of an
// older version does not say its address: then it is its name. A broker's own gateway is part of it.
func (r *Registry) Agents(ctx context.Context) ([]staging.Agent, error) {
	found := map[string]staging.Agent{}
	for kind, name := range map[string]string{
		staging.AgentBroker: presenceService, staging.AgentGateway: gatewayPresenceService, staging.AgentScaler: lockService,
	} {
		service := r.service(name)
		entries, _, err := r.health.Service(service, "", true, query(ctx))
		if err != nil {
			return nil, callError(err, "read the health of service %s", service)
		}
		for _, e := range entries {
			// A scaler has a second holder of locks, with this after its name.
			id, _ := strings.CutSuffix(strings.TrimPrefix(e.Service.ID, service+"-"), "-webhooks")
			a := staging.Agent{Kind: kind, Address: cmp.Or(e.Service.Meta[metaAddress], id), Version: e.Service.Meta[metaVersion]}
			if _, twice := found[kind+id]; !twice || a.Version != "" {
				found[kind+id] = a
			}
		}
	}
	all := make([]staging.Agent, 0, len(found))
	for _, a := range found {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b staging.Agent) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Address, b.Address))
	})
	return all, nil
}

// shown returns the meta of an agent's service.
func shown(address, version string) map[string]string {
	meta := map[string]string{metaAddress: address}
	if version != "" {
		meta[metaVersion] = version
	}
	return meta
}
