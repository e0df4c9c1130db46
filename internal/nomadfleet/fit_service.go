package nomadfleet

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// checkEvery returns within what time each check of a service has a new result.
func checkEvery(s *nomadapi.Service) time.Duration {
	var longest time.Duration
	for _, c := range s.Checks {
		longest = max(longest, c.Interval+c.Timeout)
	}
	return longest
}

// statusWarning is the status of a check in Consul that neither passes nor is critical.
const statusWarning = "warning"

// nameCheck names a check that has no name after what it checks, such as port http (http /health).
// Nomad would name it after the service, which is the same for every check of every session.
func nameCheck(c *nomadapi.ServiceCheck, port string) {
	if c.Name != "" {
		return
	}
	of := strings.TrimSpace(c.Type + " " + cmp.Or(c.Path, c.Command, c.GRPCService))
	if port = cmp.Or(c.PortLabel, port); port != "" {
		of = "port " + port + " (" + of + ")"
	}
	c.Name = of
}

// fitService turns the template's first service into the session's. If the template has
// no service, it adds one with a TCP check on the first port. The service does not have
// the session's user: it could only change with the job, which is never registered again.
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
	for i := range service.Checks {
		nameCheck(&service.Checks[i], service.PortLabel)
		// Consul's agents begin with critical, and then keep the output of the first result,
		// which changes no status, from its servers for minutes.
		if c := &service.Checks[i]; c.InitialStatus == "" {
			c.InitialStatus = statusWarning
		}
	}
	service.Name = s.Service()
	service.Provider = providerConsul
	service.Tags = append(service.Tags,
		"greenroom", "zone="+s.Zone, "image="+s.Image, "origin="+string(s.Origin))
	// Canaries are for deployments, which batch jobs do not have.
	service.CanaryTags, service.CanaryMeta = nil, nil
	meta := map[string]string{
		metaSession: s.ID, metaSchema: strconv.Itoa(staging.SchemaVersion), metaZone: s.Zone, metaImage: s.Image, metaOrigin: string(s.Origin),
	}
	if s.Staging != "" {
		meta[metaStaging] = s.Staging
	}
	if s.Generation > 0 {
		meta[metaGeneration] = strconv.FormatUint(s.Generation, 10)
	}
	service.Meta = ownMeta(service.Meta, meta)
}
