package consulhealth

import (
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestACheckThatNobodyRunsIsNotFailing: the node's Consul agent went away while the check was
// critical, which it then stays.
func TestACheckThatNobodyRunsIsNotFailing(t *testing.T) {
	for node, failing := range map[string]bool{api.HealthPassing: true, api.HealthCritical: false} {
		found, err := (&Health{}).instances([]*api.ServiceEntry{{
			Service: &api.AgentService{ID: "s"},
			Checks: api.HealthChecks{
				{CheckID: "serfHealth", Status: node},
				{CheckID: "http", ServiceID: "s", Status: api.HealthCritical},
			},
		}})
		if err != nil || len(found) != 1 || found[0].Passing || found[0].Failing != failing {
			t.Errorf("the agent is %s: %+v %v", node, found, err)
		}
	}
}
