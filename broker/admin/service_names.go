package admin

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// serviceNames checks the names of the Consul services that a resource brings about. They
// begin with the installation's prefix, so that the resource alone cannot tell.
type serviceNames struct{ names staging.Names }

// fit refuses a new resource if the name of one of its services is too long. One that is
// stored already may be changed: an older version has taken it.
func (s serviceNames) fit(ctx context.Context, read reader, what, name string, stored func(staging.Resources) bool, services ...string) error {
	for _, service := range services {
		service = s.names.Service(service)
		over := len(service) - staging.MaxServiceName
		if over <= 0 {
			continue
		}
		res, err := read(ctx)
		if err != nil {
			return err
		}
		if stored(res) {
			return nil
		}
		return staging.Invalid(what, "name", "must be at most %d characters, is %d: its service %s in Consul would have %d, and a DNS label has at most %d",
			len(name)-over, len(name), service, len(service), staging.MaxServiceName)
	}
	return nil
}

func (s serviceNames) fitZone(ctx context.Context, read reader, name string) error {
	return s.fit(ctx, read, "zone", name, func(r staging.Resources) bool { return r.HasZone(name) }, staging.OnDemandService(name))
}

func (s serviceNames) fitConfig(ctx context.Context, read reader, name string) error {
	return s.fit(ctx, read, "staging config", name, func(r staging.Resources) bool {
		_, ok := r.Configs[name]
		return ok || r.Unknown(staging.KindStaging, name)
	}, staging.PoolService(name), staging.PoolStatusService(name))
}
