package cli_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

func TestConfigCheckNamesEverythingWithItsLine(t *testing.T) {
	c := clitest.New(t, "")
	dir := clitest.Dir(t, map[string]string{
		"a.hcl": "log_level = \"info\"\nbroker {\n  max_launchs = 3\n  max_hooks = \"3\"\n}\n",
		"b.hcl": "nomad {\n  address = \"nowhere\"\n  token_file = \"token\"\n}\n",
		"token": "hush-hush\n",
	})
	out := c.Want(exit.Usage, []string{"config", "check", dir}, "a.hcl:3: ", "max_launchs", "a.hcl:4: broker.max_hooks: must be a number", "b.hcl:2: nomad.address: ")
	if strings.Contains(out, "valid.") {
		t.Error(out)
	}
	var answer struct {
		Valid    bool
		Findings []string
	}
	clitest.Decode(t, c.Want(exit.Usage, []string{"config", "check", dir, "--json"}), &answer)
	if answer.Valid || len(answer.Findings) != 3 {
		t.Errorf("--json: %+v", answer)
	}
	// An agent says the same, and does not start.
	for _, agent := range []string{"broker", "scaler"} {
		_, out, errs := c.Run(agent, "--config", dir)
		if !strings.Contains(errs, "a.hcl:3: ") || strings.Contains(out+errs, "hush-hush") {
			t.Errorf("%s --config: %s%s", agent, out, errs)
		}
	}
	good := clitest.Dir(t, map[string]string{"a.hcl": "broker {\n  max_launches = 3\n}\n"})
	c.Want(exit.OK, []string{"config", "check", good}, "valid")
	c.Want(exit.OK, []string{"config", "check", filepath.Join(good, "a.hcl"), "--json"}, `"findings": []`)
	c.Want(exit.Usage, []string{"config", "check"}, "FILE")
	c.Want(exit.Usage, []string{"config", "check", filepath.Join(good, "none.hcl")}, "none.hcl")
}

// TestTheHelpsConfigurationFileIsValid: what greenroom broker --help shows is what is read.
func TestTheHelpsConfigurationFileIsValid(t *testing.T) {
	_, shown, found := strings.Cut(agent.NewBrokerCommand().Long, "A configuration file:\n")
	if !found {
		t.Fatal("the help shows no file")
	}
	files := map[string]string{"broker.pem": "x", "broker.key": "x", "token": "x", "ca.pem": "x", "consul.token": "x", "redis.password": "x", "west.token": "x"}
	files["a.hcl"] = strings.ReplaceAll(shown, "/etc/greenroom/", "")
	clitest.New(t, "").Want(exit.OK, []string{"config", "check", filepath.Join(clitest.Dir(t, files), "a.hcl")}, "valid")
}
