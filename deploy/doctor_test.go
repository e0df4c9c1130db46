package deploy_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
)

// testDoctor: doctor reads which rights a token has in Consul, and names what a scaler would lack.
func testDoctor(t *testing.T, g *guarded) {
	binary := agenttest.Program(t, "greenroom")
	for name, c := range map[string]struct{ token, status, says string }{
		"management rights":    {g.consulToken, "ok", ""},
		"a broker's rights":    {g.consulTokenFor(t, "doctor-broker", read(t, "acl/consul-broker.policy.hcl")+"\nagent_prefix \"\" { policy = \"read\" }"), "fail", "session"},
		"the rights of nobody": {g.consulTokenFor(t, "doctor-nobody", `agent_prefix "" { policy = "read" }`), "fail", "fates"},
	} {
		cmd := exec.CommandContext(patient(t), binary, "doctor", "-o", "json")
		cmd.Env = append(g.environment(), "CONSUL_HTTP_TOKEN="+c.token, "GREENROOM_REDIS_ADDR="+shared.Cluster(t).RedisAddr)
		out, err := cmd.Output() // the exit code says that another row fails
		var said struct {
			Checks []struct{ ID, Status, Found string }
		}
		if json.Unmarshal(out, &said) != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		i := slices.IndexFunc(said.Checks, func(x struct{ ID, Status, Found string }) bool { return x.ID == "consul-rights" })
		if i < 0 || said.Checks[i].Status != c.status || !strings.Contains(said.Checks[i].Found, c.says) {
			t.Errorf("%s: %s", name, out)
		}
	}
}
