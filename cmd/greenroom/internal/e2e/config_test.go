package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
)

func TestABrokerThatIsConfiguredByAFileServes(t *testing.T) {
	c, d := startServers(t, []string{"dc1"})
	dir := clitest.Dir(t, map[string]string{
		"a.hcl": "broker {\n  token_file = \"token\"\n  access {\n    allow_open_consul = true\n  }\n}\n",
		"token": "open-sesame-open\n",
	})
	b := startAgent(t, c, "broker", "--config", dir)
	d.Broker = "http://" + b.Address
	d.ask(t, "GET", "/v1/zones", nil, http.StatusUnauthorized, nil)
	d.ask(t, "GET", "/v1/zones", nil, http.StatusOK, nil, "Authorization", "Bearer open-sesame-open")
	if strings.Contains(b.Log.String(), "open-sesame-open") {
		t.Errorf("the token is in the log:\n%s", b.Log)
	}
}
