package deploy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTraefikFindsASessionByItsTags: those of the example reach Consul with the session's id, also
// in a job that greenroom has adapted. (The examples of nginx and Caddy are run by the end-to-end
// tests.)
func TestTraefikFindsASessionByItsTags(t *testing.T) {
	c := shared.Cluster(t)
	jobspec := read(t, "proxies/traefik-session.nomad.hcl")
	before, rest, found := strings.Cut(jobspec, `driver = "docker"`)
	_, after, closed := strings.Cut(rest, "resources {")
	if !found || !closed {
		t.Fatal("the example's task is not what this test takes it for")
	}
	// Docker's image is not here; which driver runs it does not matter to the tags.
	jobspec = before + "driver = \"mock_driver\"\n config {\n run_for = \"1h\"\n }\n resources {" + after

	client, err := nomadfleet.NewClient(nomadfleet.Settings{Address: c.NomadAddr})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fleet := nomadfleet.New(client, nomadfleet.Options{})
	s := start(t, fleet, newSession(zone), jobspec, zone)
	t.Cleanup(func() {
		if err := fleet.Purge(context.WithoutCancel(t.Context()), s); err != nil {
			t.Error(err)
		}
	})
	consul, err := consulapi.NewClient(&consulapi.Config{Address: c.ConsulAddr})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		entries, _, err := consul.Catalog().Service(staging.OnDemandService(zone.Name), "", (&consulapi.QueryOptions{}).WithContext(ctx))
		for _, e := range entries {
			if slices.Contains(e.ServiceTags, "traefik.http.routers."+s.ID+".rule=PathPrefix(`/s/"+s.ID+"/`)") &&
				slices.ContainsFunc(e.ServiceTags, func(tag string) bool { return strings.HasSuffix(tag, "/v1/sessions/"+s.ID+"/authorize") }) {
				return nil
			}
		}
		return fmt.Errorf("no instance has the tags: %d instances, %v", len(entries), err)
	})
}
