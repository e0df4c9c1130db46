package nomadfleet

import (
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// fitService makes the template's first service the session's, and gives a
// template that has none a service with a TCP check on its first port.
func fitService(g *nomadapi.TaskGroup, s staging.Session) {
	service := sessionService(g)
	if service == nil {
		service = &nomadapi.Service{
			PortLabel: firstPort(g),
			Checks: []nomadapi.ServiceCheck{{
				Name: "port answers", Type: "tcp",
				Interval: 2 * time.Second, Timeout: 2 * time.Second,
			}},
		}
		g.Services = []*nomadapi.Service{service}
	}
	service.Name = s.Service()
	service.Provider = providerConsul
	service.Tags = append(service.Tags,
		"greenroom", "zone="+s.Zone, "image="+s.Image, "origin="+string(s.Origin), tagUnassigned)
	// Canaries belong to deployments, which batch jobs do not have.
	service.CanaryTags, service.CanaryMeta = nil, nil
	meta := map[string]string{
		metaSession: s.ID, metaZone: s.Zone, metaImage: s.Image, metaOrigin: string(s.Origin), metaState: unassigned,
	}
	if s.Staging != "" {
		meta[metaStaging] = s.Staging
	}
	service.Meta = ownMeta(service.Meta, meta)
	if s.User != nil {
		// An on-demand session is born with its user.
		setUser(service, *s.User)
	}
}
