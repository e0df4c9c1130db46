package upgrade

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatANewerVersionStoredIsLeftAlone: after a way back from a version with another layout, its
// records and jobs are there. They are shown, and neither used nor replaced nor ended, and nothing
// else suffers.
func TestWhatANewerVersionStoredIsLeftAlone(t *testing.T) {
	const pool, desired = "newer", 3
	flags := []string{"--consul-prefix", "gr-n", "--redis-prefix", "gr-n"}
	program := agenttest.Program(t, "greenroom")
	in := newerInstallation{start(t, program, flags...), records{t, "gr-n/", map[string]string{}}, pool, desired, func() *agenttest.Agent {
		return agenttest.Start(t, program, "scaler", append(agenttest.On(servers.Cluster(t)), flags...)...)
	}}
	in.stores(t, pool, desired)
	in.UntilReady(t, pool, desired)
	in.resourceOfNewer(t)
	in.fateOfNewer(t)
	in.jobOfNewer(t)
}

// newerInstallation is this build's, in which a newer version was before.
type newerInstallation struct {
	release
	records
	pool    string
	desired int
	// startScaler starts another scaler.
	startScaler func() *agenttest.Agent
}

// scalerAnew ends the scaler and starts another, which reads everything.
func (in *newerInstallation) scalerAnew(t *testing.T) {
	t.Helper()
	in.scaler.End(t, syscall.SIGTERM)
	in.scaler = in.startScaler()
}

// resourceOfNewer: a resource keeps its last readable value, and cannot be changed.
func (in *newerInstallation) resourceOfNewer(t *testing.T) {
	t.Helper()
	before := in.makeNewer("resources/zones/east")
	agenttest.Until(t, "the status names the newer version", func() (bool, string) {
		answer := in.Ask(t, "GET", "/v1/status", nil, 200, nil)
		return strings.Contains(string(answer.Body), "gr-n/resources/zones/east") && strings.Contains(string(answer.Body), "newer greenroom"), string(answer.Body)
	})
	agenttest.Until(t, "the scaler's metric counts it", func() (bool, string) {
		text := metricsOf(t, in.scaler)
		return strings.Contains(text, `unreadable_records{kind="zone"} 1`), text
	})
	answer := in.Ask(t, "PUT", "/v1/zones/east", zone(), 409, nil)
	if !strings.Contains(string(answer.Body), `"stored_by_newer"`) || !strings.Contains(string(answer.Body), "use that greenroom") {
		t.Errorf("a change of it is refused with %s", answer.Body)
	}
	// Its last readable value applies: a launch is served, and its place is filled.
	in.launches(t, in.pool, "u-meanwhile")
	in.UntilReady(t, in.pool, in.desired)
	in.unchanged("resources/zones/east")
	in.put("resources/zones/east", before)
	agenttest.Until(t, "the zone can be changed again", func() (bool, string) {
		answer, err := in.Call("PUT", "/v1/zones/east", `{"datacenters":["dc1"],"allow_origin_domain":"127.0.0.1","upstream_auth_address":"127.0.0.1"}`)
		return err == nil && answer.Status == 200, string(answer.Body)
	})
}

// fateOfNewer: a session whose fate it is is neither given nor ended.
func (in *newerInstallation) fateOfNewer(t *testing.T) {
	t.Helper()
	alices := in.launches(t, in.pool, "u-alice")
	in.UntilReady(t, in.pool, in.desired)
	ready := in.ready(t, in.pool)[0]
	readable := in.makeNewer("fates/" + alices)
	in.put("fates/"+ready, `{"schema_version":2,"session":"`+ready+`","verdict":"lent"}`)
	in.remember("fates/" + ready)
	seen := sessionsIn(t)
	// A scaler that starts reads all fates; one that runs reads them once a minute.
	in.scalerAnew(t)
	agenttest.Until(t, "session "+ready+" is quarantined", func() (bool, string) {
		answer := in.Ask(t, "GET", "/v1/sessions/"+ready, nil, 200, nil)
		return strings.Contains(string(answer.Body), `"quarantined"`) && strings.Contains(string(answer.Body), "newer greenroom"), string(answer.Body)
	})
	agenttest.Until(t, "the scaler's metric counts both fates", func() (bool, string) {
		text := metricsOf(t, in.scaler)
		return strings.Contains(text, `unreadable_records{kind="fate"} 2`), text
	})
	in.UntilReady(t, in.pool, in.desired)
	for i := range in.desired {
		if given := in.launches(t, in.pool, fmt.Sprint("u-next-", i)); given == ready || given == alices {
			t.Errorf("session %s was given, whose fate a newer version decided", given)
		}
	}
	in.UntilReady(t, in.pool, in.desired)
	seen.stillRun(t)
	in.unchanged("fates/"+alices, "fates/"+ready)
	in.put("fates/"+alices, readable)
	agenttest.Until(t, "the session is alice's again", func() (bool, string) {
		answer := in.Ask(t, "GET", "/v1/sessions/"+alices, nil, 200, nil)
		return strings.Contains(string(answer.Body), `"assigned"`) && strings.Contains(string(answer.Body), "u-alice"), string(answer.Body)
	})
}

// jobOfNewer: a job is counted, and left alone.
func (in *newerInstallation) jobOfNewer(t *testing.T) {
	t.Helper()
	id := registerNewer(t, in.ready(t, in.pool)[0])
	seen := sessionsIn(t)
	in.scalerAnew(t)
	agenttest.Until(t, "the job is counted among those that are left alone", func() (bool, string) {
		var i struct {
			ID      string
			Foreign []staging.Foreign
		}
		answer := in.Ask(t, "GET", "/v1/installation", nil, 200, &i)
		return slices.Contains(i.Foreign, staging.Foreign{Installation: i.ID, Sessions: 1}), string(answer.Body)
	})
	in.Ask(t, "DELETE", "/v1/sessions/"+id, nil, 404, nil)
	in.launches(t, in.pool, "u-last")
	in.UntilReady(t, in.pool, in.desired)
	seen.stillRun(t)
}

// registerNewer registers a copy of a session's job as a newer version would, and returns its id.
func registerNewer(t *testing.T, session string) string {
	t.Helper()
	client := nomadOf(t)
	job, _, err := client.Jobs().Info(session, nil)
	agenttest.Must(t, err)
	text, err := json.Marshal(job)
	agenttest.Must(t, err)
	id := staging.NewSessionID()
	var newer nomadapi.Job
	agenttest.Must(t, json.Unmarshal([]byte(strings.ReplaceAll(string(text), session, id)), &newer))
	if newer.Meta["greenroom_schema"] != "1" {
		t.Fatalf("the job of session %s has the meta %v", session, newer.Meta)
	}
	newer.Meta["greenroom_schema"] = "2"
	newer.TaskGroups[0].Services[0].Meta["greenroom_schema"] = "2"
	_, _, err = client.Jobs().Register(&newer, nil)
	agenttest.Must(t, err)
	agenttest.Until(t, "the newer version's job runs", func() (bool, string) {
		_, runs := sessionsIn(t)[id]
		return runs, id
	})
	return id
}

func nomadOf(t *testing.T) *nomadapi.Client {
	t.Helper()
	client, err := nomadapi.NewClient(&nomadapi.Config{Address: servers.Cluster(t).NomadAddr})
	agenttest.Must(t, err)
	return client
}

// launches launches for a user, who gets a staged session, and returns its id.
func (r release) launches(t *testing.T, image, user string) string {
	t.Helper()
	var s struct{ ID, Origin string }
	r.Ask(t, "POST", "/v1/sessions", body(image, user), 201, &s)
	if s.Origin != string(staging.Staged) {
		t.Errorf("user %s has session %s, which is %s", user, s.ID, s.Origin)
	}
	return s.ID
}

// ready returns a pool's ready sessions.
func (r release) ready(t *testing.T, pool string) (ids []string) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	answer := r.Ask(t, "GET", "/v1/sessions?state=ready&staging="+pool, nil, 200, &list)
	for _, s := range list.Items {
		ids = append(ids, s.ID)
	}
	if len(ids) == 0 {
		t.Fatalf("pool %s has no ready session: %s", pool, answer.Body)
	}
	return ids
}

func metricsOf(t *testing.T, a *agenttest.Agent) string {
	t.Helper()
	answer, err := http.Get("http://" + a.Address + "/metrics")
	agenttest.Must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	agenttest.Must(t, err)
	return string(text)
}

// records are an installation's records in Consul.
type records struct {
	t      *testing.T
	prefix string
	// stay are the values of the records that must not change, by key.
	stay map[string]string
}

func (c records) kv() *consulapi.KV {
	client, err := consulapi.NewClient(&consulapi.Config{Address: servers.Cluster(c.t).ConsulAddr})
	agenttest.Must(c.t, err)
	return client.KV()
}

func (c records) get(key string) string {
	c.t.Helper()
	p, _, err := c.kv().Get(c.prefix+key, nil)
	agenttest.Must(c.t, err)
	if p == nil {
		return ""
	}
	return string(p.Value)
}

func (c records) put(key, value string) {
	c.t.Helper()
	_, err := c.kv().Put(&consulapi.KVPair{Key: c.prefix + key, Value: []byte(value)}, nil)
	agenttest.Must(c.t, err)
}

// makeNewer turns a record into one of a newer version, and returns what it was.
func (c records) makeNewer(key string) (before string) {
	c.t.Helper()
	before = c.get(key)
	after := strings.Replace(before, `"schema_version":1`, `"schema_version":2`, 1)
	if after == before {
		c.t.Fatalf("%s has no schema version: %s", key, before)
	}
	c.put(key, after)
	c.remember(key)
	return before
}

func (c records) remember(key string) { c.stay[key] = c.get(key) }

// unchanged: the records are as they were when they were remembered.
func (c records) unchanged(keys ...string) {
	c.t.Helper()
	for _, key := range keys {
		if now := c.get(key); now != c.stay[key] {
			c.t.Errorf("%s was not left alone:\n%s\n%s", key, c.stay[key], now)
		}
	}
}
