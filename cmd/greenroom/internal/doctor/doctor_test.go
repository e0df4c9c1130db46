package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/devcluster"
)

// TestTheDocumentIsTheTable: deploy/README.md has every row as greenroom doctor checks it.
func TestTheDocumentIsTheTable(t *testing.T) {
	b, err := os.ReadFile("../../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), Document()) {
		t.Errorf("deploy/README.md lacks the table of greenroom doctor, or has another. It must have:\n%s", Document())
	}
}

// good are the facts of a cluster that is as wanted.
func good() facts {
	agent := nomadAgent{name: "server", version: "1.10.5", eventBuffer: 20000, jobGC: "1h", evalGC: "1h", batch: "1h", maxKillTimeout: "2m", acl: true}
	client := agent
	client.name = "client"
	return facts{
		nomad: nomadFacts{servers: []nomadAgent{agent}, clients: []nomadAgent{client}},
		consul: consulFacts{
			version: "1.19.2", server: true, acl: true, defaultPolicy: "deny", connections: 200, maxValue: 524288, maxTransaction: 524288, logStore: "wal",
			authMethod: "nomad-workloads",
		},
		redis:  redisFacts{version: "7.0.15", eviction: "noeviction", appendOnly: true, failover: "one server", takesOver: true},
		clocks: map[string]time.Duration{"redis": 100 * time.Millisecond, "nomad": -time.Second},
	}
}

func TestExamine(t *testing.T) {
	for _, c := range examine(good()) {
		if c.Status != OK || c.Advice != "" || c.Found == "" {
			t.Errorf("%+v", c)
		}
	}
	change := func(f func(*facts)) facts { g := good(); f(&g); return g }
	for name, c := range map[string]struct {
		facts  facts
		status level
		found  string
	}{
		"nomad-version":      {change(func(f *facts) { f.nomad.clients[0].version = "1.8.12" }), Fail, "1.8.12 on client"},
		"consul-version":     {change(func(f *facts) { f.consul.version = "1.17.3" }), Fail, "1.17.3"},
		"redis-version":      {change(func(f *facts) { f.redis.version = "6.0.16" }), Fail, "6.0.16"},
		"nomad-events":       {change(func(f *facts) { f.nomad.servers[0].eventBuffer = 100 }), Warn, "100 on server"},
		"nomad-gc":           {change(func(f *facts) { f.nomad.servers[0].batch = "" }), Warn, "batch_eval 24h on server"},
		"nomad-connections":  {change(func(f *facts) { f.nomad.clients[0].connections = 100 }), Fail, "100 on client"},
		"nomad-kill-timeout": {change(func(f *facts) { f.killTimeout, f.killImage = 3*time.Minute, "desk" }), Warn, "2m on client"},
		"broker-kill-timeout": {change(func(f *facts) {
			f.nomad.brokers = []brokerTask{{job: "greenroom-broker", kill: 3 * time.Minute, drain: 150 * time.Second, nodes: []string{"client"}}}
		}), Warn, "node client kills the broker of job greenroom-broker after 2m0s"},
		"nomad-consul":       {change(func(f *facts) { f.nomad.withoutConsul = []string{"client"} }), Fail, "client do not"},
		"nomad-acl":          {change(func(f *facts) { f.nomad.servers[0].acl = false }), Warn, "off on server"},
		"nomad-rights":       {change(func(f *facts) { f.nomad.denied = []string{"list nodes"} }), Fail, "may not list nodes"},
		"consul-connections": {change(func(f *facts) { f.consul.connections = 50 }), Fail, "50"},
		"consul-values":      {change(func(f *facts) { f.consul.maxValue = 1000 }), Fail, "1000 and 524288"},
		"consul-log":         {change(func(f *facts) { f.consul.logStore = "boltdb" }), Warn, "boltdb"},
		"consul-acl":         {change(func(f *facts) { f.consul.defaultPolicy = "allow" }), Warn, "on, default policy allow"},
		"consul-rights":      {change(func(f *facts) { f.consul.denied = []string{"write session x"} }), Fail, "may not write session x"},
		"consul-identity":    {change(func(f *facts) { f.consul.authMethod = "" }), Warn, "one that somebody made"},
		"redis-eviction":     {change(func(f *facts) { f.redis.eviction = "allkeys-lru" }), Fail, "allkeys-lru"},
		"redis-persistence":  {change(func(f *facts) { f.redis.appendOnly = false }), Warn, "appendonly no"},
		"redis-password":     {change(func(f *facts) { f.redis.open = true }), Warn, "answers anybody"},
		"redis-replicas":     {change(func(f *facts) { f.redis.replicas, f.redis.refusesAlone = 2, false }), Warn, "2 replicas, writes without them taken"},
		"redis-failover":     {change(func(f *facts) { f.redis.failover, f.redis.takesOver = "1 Sentinels", false }), Warn, "1 Sentinels"},
		"clocks":             {change(func(f *facts) { f.clocks["nomad"] = -time.Hour }), Warn, "nomad -3600.0 s"},
	} {
		only(t, name, examine(c.facts), c.status, c.found)
	}
	if n := len(examine(good())); n != 23 {
		t.Errorf("%d rows: a new one needs a case here", n)
	}
	// What is not told is no failure, and a server that does not answer is one.
	for _, c := range examine(change(func(f *facts) { f.consul.err = hiddenError{errors.New("no right")} })) {
		if strings.HasPrefix(c.ID, "consul-") && (c.Status != Warn || c.Advice != "no right") {
			t.Errorf("%+v", c)
		}
	}
	for _, c := range examine(change(func(f *facts) { f.consul.server = false })) {
		if c.ID == "consul-log" && (c.Status != Warn || !strings.Contains(c.Advice, "is no server")) {
			t.Errorf("asked of an agent that is no server: %+v", c)
		}
	}
	for _, c := range examine(change(func(f *facts) { f.redis.err = errors.New("refused") })) {
		if strings.HasPrefix(c.ID, "redis-") && (c.Status != Fail || c.Advice != "refused") {
			t.Errorf("%+v", c)
		}
	}
}

// TestAServerThatDoesNotAnswerIsToldOnce: all its rows fail, and what to do is the same for all.
func TestAServerThatDoesNotAnswerIsToldOnce(t *testing.T) {
	var out strings.Builder
	f := facts{nomad: nomadFacts{err: errors.New("nomad refused")}, consul: consulFacts{err: errors.New("consul refused")}, redis: redisFacts{err: errors.New("redis refused")}}
	if err := show(&out, examine(f)); err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{"nomad", "consul", "redis"} {
		if n := strings.Count(out.String(), server+" refused"); n != 1 {
			t.Errorf("%s: told %d times in\n%s", server, n, out.String())
		}
	}
}

// only fails unless one check has a status, and all others are as wanted.
func only(t *testing.T, id string, checks []Check, status level, found string) {
	t.Helper()
	for _, c := range checks {
		switch {
		case c.ID != id && c.Status != OK:
			t.Errorf("%s: %+v", id, c)
		case c.ID == id && (c.Status != status || !strings.Contains(c.Found, found) || c.Advice == ""):
			t.Errorf("%s: %+v, want %s with %q", id, c, status, found)
		}
	}
}

func TestLongestKillTimeout(t *testing.T) {
	got, image := longestKillTimeout(map[string]string{
		"a": "task \"t\" {\n  kill_timeout = \"45s\"\n}", "b": "  kill_timeout=\"2m\"\n  # kill_timeout = \"9m\"", "c": `kill_timeout = "${var.wait}"`,
	})
	if got != 2*time.Minute || image != "b" {
		t.Errorf("%s of %q", got, image)
	}
}

// TestDoctorOnRealServers: what the development cluster does not have is said, and nothing else; and
// each of several settings that are broken on purpose is found.
func TestDoctorOnRealServers(t *testing.T) {
	c, err := devcluster.Start(t.Context(), devcluster.Options{Datacenters: []string{"dc1", "dc2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	// A cluster on loopback is open.
	open := []string{"nomad-acl", "consul-acl", "redis-password"}
	want := map[string]level{}
	for _, id := range open {
		want[id] = Warn
	}
	compare(t, c, want)
	testBrokersJob(t, c, want)

	rewrite(t, c, c.NomadServer, "nomad.hcl", "event_buffer_size       = 20000", "event_buffer_size       = 100")
	rewrite(t, c, c.NomadServer, "nomad.hcl", "batch_eval_gc_threshold = \"1h\"", "batch_eval_gc_threshold = \"24h\"")
	rewrite(t, c, c.NomadClients[1], "nomad.hcl", "http_max_conns_per_client = 0", "http_max_conns_per_client = 100")
	rewrite(t, c, c.Consul, "consul.hcl", "http_max_conns_per_client = 2000", "http_max_conns_per_client = 50\n  kv_max_value_size = 1000")
	for _, p := range []*devcluster.Process{c.Consul, c.NomadServer, c.NomadClients[1]} {
		if err := p.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	defer rdb.Close()
	for _, setting := range [][2]string{{"maxmemory-policy", "allkeys-lru"}, {"appendonly", "no"}} {
		if err := rdb.ConfigSet(t.Context(), setting[0], setting[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	untilNodesAreReady(t, c)
	want["nomad-events"], want["nomad-gc"], want["nomad-connections"] = Warn, Warn, Fail
	want["consul-connections"], want["consul-values"] = Fail, Fail
	want["redis-eviction"], want["redis-persistence"] = Fail, Warn
	compare(t, c, want)
}

// testBrokersJob: the time that Nomad gives a broker is compared with the one that it drains for, in
// its job and on its node.
func testBrokersJob(t *testing.T, c *devcluster.Cluster, want map[string]level) {
	t.Helper()
	nomad, err := nomadapi.NewClient(&nomadapi.Config{Address: c.NomadAddr})
	if err != nil {
		t.Fatal(err)
	}
	defer nomad.Close()
	const id = "greenroom-broker"
	for _, try := range []struct {
		kill  time.Duration
		drain string
		level level
	}{{20 * time.Second, "15s", OK}, {20 * time.Second, "", Warn}, {5 * time.Minute, "", Warn}} {
		task := nomadapi.NewTask("broker", "raw_exec").SetConfig("command", "/bin/sh").SetConfig("args", []string{"-c", "exec sleep 1000", "broker"})
		task.KillTimeout = &try.kill
		if try.drain != "" {
			task.Env = map[string]string{drainVariable: try.drain}
		}
		job := nomadapi.NewServiceJob(id, id, "global", 50).AddDatacenter("dc1").AddTaskGroup(nomadapi.NewTaskGroup("broker", 1).AddTask(task))
		if _, _, err := nomad.Jobs().Register(job, nil); err != nil {
			t.Fatal(err)
		}
		untilItRuns(t, nomad, id)
		want["broker-kill-timeout"] = try.level
		compare(t, c, want)
	}
	if _, _, err := nomad.Jobs().Deregister(id, true, nil); err != nil {
		t.Fatal(err)
	}
	delete(want, "broker-kill-timeout")
}

// untilItRuns waits until a job's newest version has a running allocation.
func untilItRuns(t *testing.T, nomad *nomadapi.Client, id string) {
	t.Helper()
	job, _, err := nomad.Jobs().Info(id, nil)
	if err != nil {
		t.Fatal(err)
	}
	var index uint64
	for {
		allocs, meta, err := nomad.Jobs().Allocations(id, false, (&nomadapi.QueryOptions{WaitIndex: index, WaitTime: time.Minute}).WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range allocs {
			if a.JobVersion == *job.Version && a.ClientStatus == nomadapi.AllocClientStatusRunning {
				return
			}
		}
		index = meta.LastIndex
	}
}

// rewrite changes a setting in a server's configuration file.
func rewrite(t *testing.T, c *devcluster.Cluster, p *devcluster.Process, file, from, to string) {
	t.Helper()
	path := filepath.Join(c.Dir, p.Name, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s has no %q", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// untilNodesAreReady waits until Nomad's servers see every client again.
func untilNodesAreReady(t *testing.T, c *devcluster.Cluster) {
	t.Helper()
	nomad, err := nomadapi.NewClient(&nomadapi.Config{Address: c.NomadAddr})
	if err != nil {
		t.Fatal(err)
	}
	defer nomad.Close()
	var index uint64
	for {
		nodes, meta, err := nomad.Nodes().List((&nomadapi.QueryOptions{WaitIndex: index, WaitTime: time.Minute}).WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		ready := 0
		for _, n := range nodes {
			if n.Status == nomadapi.NodeStatusReady {
				ready++
			}
		}
		if ready == len(c.NomadClients) {
			return
		}
		index = meta.LastIndex
	}
}

// compare runs greenroom doctor on a cluster, and compares what is not as wanted, and the exit code.
func compare(t *testing.T, c *devcluster.Cluster, want map[string]level) {
	t.Helper()
	root := &cobra.Command{Use: "greenroom", SilenceErrors: true, SilenceUsage: true}
	output.AddFlags(root)
	root.AddCommand(NewCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"doctor", "-o", "json", "--nomad-address", c.NomadAddr, "--consul-address", c.ConsulAddr, "--redis-address", c.RedisAddr})
	err := root.ExecuteContext(t.Context())
	fails := false
	for _, status := range want {
		fails = fails || status == Fail
	}
	if (err != nil) != fails {
		t.Errorf("the command ends with %v", err)
	}
	var printed struct{ Checks []Check }
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if len(printed.Checks) != len(rows) {
		t.Errorf("%d checks of %d", len(printed.Checks), len(rows))
	}
	for _, c := range printed.Checks {
		status := OK
		if s, ok := want[c.ID]; ok {
			status = s
		}
		if c.Status != status {
			t.Errorf("%+v, want %s", c, status)
		}
	}
}
