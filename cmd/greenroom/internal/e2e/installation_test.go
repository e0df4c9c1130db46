package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// An installation is one greenroom: its part of Consul and Redis, its scalers and brokers.
// These tests run a second one beside the shared one, on the same Nomad.

// servers returns the shared servers' addresses, for agents of another installation.
func (d *devProcess) servers() *devcluster.Cluster {
	return &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
}

// pair starts a Consul and a Redis without a Nomad, and returns them with d's Nomad.
func (d *devProcess) pair(t *testing.T) *devcluster.Cluster {
	t.Helper()
	c, err := devcluster.Start(context.Background(), devcluster.Options{})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: c.ConsulAddr, RedisAddr: c.RedisAddr}
}

// second starts a broker and a scaler of another installation on the servers, and stores
// the zone east there.
func second(t *testing.T, c *devcluster.Cluster, flags ...string) (other *devProcess, scaler *agent) {
	t.Helper()
	b := startAgent(t, c, "broker", flags...)
	other = &devProcess{agent: b, readyFile: readyFile{Broker: "http://" + b.Address, Consul: c.ConsulAddr, Nomad: c.NomadAddr, Redis: c.RedisAddr}}
	zone, err := json.Marshal(staging.Zone{Name: "east", Datacenters: []string{"*"}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1"})
	must(t, err)
	r, err := other.call("PUT", "/v1/zones/east", string(zone))
	must(t, err)
	if r.status != 200 && r.status != 201 {
		t.Fatalf("store the zone: %d %s", r.status, r.body)
	}
	return other, startAgent(t, c, "scaler", flags...)
}

// untouched asserts that Nomad still runs each session's first allocation, as its first
// version, and that the sessions' own pages answer with their users.
func (d *devProcess) untouched(t *testing.T, assigned []launched, unassigned []string) {
	t.Helper()
	for _, l := range assigned {
		if got := record(t, l); len(got) != 1 || got[0].UserID != l.User.ID {
			t.Errorf("session %s of %s served: %+v", l.ID, l.User.ID, got)
		}
		unassigned = append(unassigned, l.ID)
	}
	for _, id := range unassigned {
		a := d.alloc(t, id)
		if a.DesiredStatus != nomadapi.AllocDesiredStatusRun || a.ClientStatus != nomadapi.AllocClientStatusRunning {
			t.Errorf("session %s of the first installation: its allocation is %s (wanted %s): %s %s", id, a.ClientStatus, a.DesiredStatus, a.DesiredDescription, a.ClientDescription)
		}
	}
}

// installation is the API's answer to GET /v1/installation.
type installation struct {
	ID           string
	Adopted      []string
	ConsulPrefix string `json:"consul_prefix"`
	Foreign      []staging.Foreign
}

func (d *devProcess) installation(t *testing.T) (i installation) {
	t.Helper()
	d.ask(t, "GET", "/v1/installation", nil, 200, &i)
	return i
}

// jobsOf returns the ids of an installation's jobs of an image that Nomad runs or will run.
func (d *devProcess) jobsOf(t *testing.T, image, installation string) (ids []string) {
	t.Helper()
	list, _, err := d.nomad(t).Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}},
		&nomadapi.QueryOptions{Prefix: staging.SessionPrefix})
	must(t, err)
	for _, j := range list {
		if j.Meta["greenroom_image"] == image && j.Meta["greenroom_installation"] == installation && !j.Stop && j.Status != "dead" {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// keeps stores an image and a pool of it, of the same name, in zone east, or changes them.
func (d *devProcess) keeps(t *testing.T, image string, desired int) {
	t.Helper()
	for _, v := range []struct {
		path string
		body any
	}{
		{"/v1/images/" + image, quickImage(image)},
		{"/v1/staging/" + image, staging.Config{Name: image, Zone: "east", Image: image, DesiredSessions: desired}},
	} {
		b, err := json.Marshal(v.body)
		must(t, err)
		r, err := d.call("PUT", v.path, string(b))
		must(t, err)
		if r.status != 200 && r.status != 201 {
			t.Fatalf("%s: %d %s", v.path, r.status, r.body)
		}
	}
}

// untilAPIReady waits until the API shows n ready sessions of a pool.
func (d *devProcess) untilAPIReady(t *testing.T, pool string, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		return s.Ready == n, fmt.Sprintf("%+v", s)
	})
}

// drained empties a pool, and waits until Nomad runs none of the installation's sessions.
func (d *devProcess) drained(t *testing.T, image, installation string) {
	t.Helper()
	d.keeps(t, image, 0)
	until(t, "the pool of installation "+installation+" is empty", func() (bool, string) {
		left := d.jobsOf(t, image, installation)
		return len(left) == 0, strings.Join(left, " ")
	})
}

// A second installation with a Consul and a Redis of its own works on the same Nomad, with
// a pool of the same name. It counts the sessions of the first one, and leaves them alone.
func TestInstallationsOnOneNomad(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("neighbour"), 1)
	d.untilReady(t, "neighbour", 1)
	var used launched
	d.ask(t, "POST", "/v1/sessions", launch("neighbour", "east", "alice"), 201, &used)
	first := d.installation(t).ID
	var staged []string
	until(t, "the pool is full again", func() (bool, string) {
		staged = d.passing(t, "neighbour")
		return len(staged) == 2, strings.Join(staged, " ")
	})

	other, scaler := second(t, d.pair(t))
	own := other.installation(t).ID
	other.keeps(t, "neighbour", 1)
	until(t, "the second installation stages a session of its own", func() (bool, string) {
		return len(d.jobsOf(t, "neighbour", own)) == 1, fmt.Sprint(d.jobsOf(t, "neighbour", own))
	})
	until(t, "the second installation counts the sessions of the first", func() (bool, string) {
		i := other.installation(t)
		return slices.ContainsFunc(i.Foreign, func(f staging.Foreign) bool { return f.Installation == first && f.Sessions >= 2 }), fmt.Sprint(i)
	})
	if n := metric(t, "http://"+scaler.Address, "greenroom_scaler_foreign_sessions"); n < 2 {
		t.Errorf("greenroom_scaler_foreign_sessions is %v", n)
	}
	other.ask(t, "DELETE", "/v1/sessions/"+used.ID, nil, 404, nil)
	other.drained(t, "neighbour", own)
	scaler.End(t, syscall.SIGTERM)
	d.untouched(t, []launched{used}, staged)
}

// Two installations share Nomad, Consul and Redis under different prefixes. Each has a pool
// of the same name, launches from it and ends sessions; one is drained and shut down. The
// other's sessions go on.
func TestInstallationsShareAllServers(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("twins"), 1)
	d.untilReady(t, "twins", 1)
	other, scaler := second(t, d.servers(), "--consul-prefix", "gr-b", "--redis-prefix", "gr-b")
	own := other.installation(t).ID
	other.keeps(t, "twins", 1)
	other.untilAPIReady(t, "twins", 1)

	var ours, theirs launched
	d.ask(t, "POST", "/v1/sessions", launch("twins", "east", "alice"), 201, &ours)
	other.ask(t, "POST", "/v1/sessions", launch("twins", "east", "bob"), 201, &theirs)
	for l, want := range map[*launched]string{&ours: d.installation(t).ID, &theirs: own} {
		if l.Origin != "staged" || !slices.Contains(d.jobsOf(t, "twins", want), l.ID) {
			t.Errorf("session %s of %s is %s, and no job of installation %s", l.ID, l.User.ID, l.Origin, want)
		}
	}
	d.untilReady(t, "twins", 1)
	other.untilAPIReady(t, "twins", 1)
	staged := d.passing(t, "twins")
	if len(staged) != 2 || slices.Contains(staged, theirs.ID) {
		t.Errorf("the service of the first installation's pool has %v; the second installation's session is %s", staged, theirs.ID)
	}
	d.untouched(t, []launched{ours, theirs}, nil)

	for _, use := range [][]string{{"exec", theirs.ID, "--", "/bin/echo", "inside"}, {"logs", theirs.ID}} {
		at := func(broker string) (string, error) {
			cmd := command(slices.Insert(slices.Clone(use), 1, "--address", broker)...)
			cmd.Env = append(os.Environ(), "NOMAD_ADDR="+d.Nomad)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		if out, err := at(d.Broker); err == nil || !strings.Contains(out, "belongs to installation "+own) {
			t.Errorf("%v at a broker of another installation: %v\n%s", use, err, out)
		}
		if out, _ := at(other.Broker); strings.Contains(out, "belongs to installation") {
			t.Errorf("%v at a broker of its own installation:\n%s", use, out)
		}
	}

	other.ask(t, "DELETE", "/v1/sessions/"+ours.ID, nil, 404, nil)
	other.ask(t, "DELETE", "/v1/sessions/"+theirs.ID, nil, 204, nil)
	other.drained(t, "twins", own)
	scaler.End(t, syscall.SIGTERM)
	other.agent.End(t, syscall.SIGTERM)
	d.untouched(t, []launched{ours}, staged)
	var again launched
	d.ask(t, "POST", "/v1/sessions", launch("twins", "east", "carol"), 201, &again)
	if again.Origin != "staged" {
		t.Errorf("the first installation serves %s: %+v", again.Origin, again.Attempts)
	}
}

// refused runs an agent that must not start, and returns what it printed.
func (d *devProcess) refused(t *testing.T, kind string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "greenroom"), append([]string{
		kind, "--bind", "127.0.0.1:0", "--nomad-address", d.Nomad, "--consul-address", d.Consul, "--redis-address", d.Redis,
	}, flags...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("a %s with %v ends with %v:\n%s", kind, flags, err, out)
	}
	return string(out)
}

// An agent does not start where Redis belongs to another installation than Consul does, and
// says so. Where Consul has lost its data, one command makes the two fit again.
func TestServersOfAnotherInstallationAreRefused(t *testing.T) {
	d := sharedDev(t)
	ours, other := d.installation(t).ID, staging.NewInstallationID()
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	t.Cleanup(func() { rdb.Close() })
	must(t, rdb.Set(t.Context(), "gr-w:installation", other, 0).Err())
	for _, kind := range []string{"broker", "scaler"} {
		if said := d.refused(t, kind, "--redis-prefix", "gr-w"); !strings.Contains(said, ours) || !strings.Contains(said, other) || !strings.Contains(said, "--redis-prefix") {
			t.Errorf("a %s at the Redis of another installation says:\n%s", kind, said)
		}
		// The Consul of gr-w is empty, as after a loss.
		if said := d.refused(t, kind, "--consul-prefix", "gr-w", "--redis-prefix", "gr-w"); !strings.Contains(said, "greenroom installation recover "+other) {
			t.Errorf("a %s at an empty Consul says:\n%s", kind, said)
		}
	}
	out, err := command("installation", "recover", other, "--consul-address", d.Consul, "--consul-prefix", "gr-w", "--redis-address", d.Redis).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := startAgent(t, d.servers(), "broker", "--consul-prefix", "gr-w", "--redis-prefix", "gr-w")
	if i := (&devProcess{readyFile: readyFile{Broker: "http://" + b.Address}}).installation(t); i.ID != other {
		t.Errorf("after the recovery it is installation %s, and was %s", i.ID, other)
	}
}

// An installation loses everything in Consul and Redis while its sessions run. The new one
// leaves them alone. An administrator takes them over: then they are nobody's to give and
// nobody's to end, as no record says which of them are in use.
func TestTakeOverAfterTheLossOfConsulAndRedis(t *testing.T) {
	d := sharedDev(t)
	flags := []string{"--consul-prefix", "gr-t", "--redis-prefix", "gr-t"}
	lost, scaler := second(t, d.servers(), flags...)
	old := lost.installation(t).ID
	lost.keeps(t, "orphans", 1)
	lost.untilAPIReady(t, "orphans", 1)
	var used launched
	lost.ask(t, "POST", "/v1/sessions", launch("orphans", "east", "alice"), 201, &used)
	lost.untilAPIReady(t, "orphans", 1)
	orphans := d.jobsOf(t, "orphans", old)
	t.Cleanup(func() {
		for _, id := range d.jobs(t, "orphans") {
			_, _, err := d.nomad(t).Jobs().Deregister(id.id, false, nil)
			must(t, err)
		}
	})
	scaler.End(t, syscall.SIGKILL)
	lost.agent.End(t, syscall.SIGKILL)
	_, err := d.consul(t).KV().DeleteTree("gr-t/", nil)
	must(t, err)
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	t.Cleanup(func() { rdb.Close() })
	must(t, redis.NewScript(`for _, key in ipairs(redis.call('KEYS', 'gr-t:*')) do redis.call('DEL', key) end return 1`).Run(t.Context(), rdb, nil).Err())

	now, scaler := second(t, d.servers(), flags...)
	own := now.installation(t).ID
	listed := func() bool {
		return slices.ContainsFunc(now.installation(t).Foreign, func(f staging.Foreign) bool { return f.Installation == old && f.Sessions == len(orphans) })
	}
	until(t, "the new installation lists the sessions of the old one", func() (bool, string) { return listed(), fmt.Sprint(now.installation(t)) })
	shown, err := command("installation", "--address", now.Broker).CombinedOutput()
	if err != nil || !strings.Contains(string(shown), old) || !strings.Contains(string(shown), own) {
		t.Errorf("greenroom installation: %v\n%s", err, shown)
	}
	out, err := command("installation", "take-over", old, "--address", now.Broker).CombinedOutput()
	if err != nil || !strings.Contains(string(out), old) {
		t.Fatalf("greenroom installation take-over: %v\n%s", err, out)
	}
	foreign := func() float64 { return metric(t, "http://"+scaler.Address, "greenroom_scaler_foreign_sessions") }
	before := foreign()
	until(t, "the scaler takes them over", func() (bool, string) { return foreign() < before, fmt.Sprint(foreign()) })

	now.keeps(t, "orphans", 1)
	now.untilAPIReady(t, "orphans", 1)
	var next launched
	now.ask(t, "POST", "/v1/sessions", launch("orphans", "east", "bob"), 201, &next)
	if slices.Contains(orphans, next.ID) || !slices.Contains(d.jobsOf(t, "orphans", own), next.ID) {
		t.Errorf("bob has session %s; those taken over are %v", next.ID, orphans)
	}
	now.ask(t, "DELETE", "/v1/sessions/"+next.ID, nil, 204, nil)
	now.drained(t, "orphans", own)
	d.untouched(t, []launched{used}, orphans)

	// They are shown, and end by an administrator's word.
	until(t, "those taken over are quarantined", func() (bool, string) {
		var list struct{ Items []launched }
		now.ask(t, "GET", "/v1/sessions?image=orphans&state=quarantined", nil, 200, &list)
		return len(list.Items) == len(orphans), fmt.Sprintf("%+v", list)
	})
	now.ask(t, "DELETE", "/v1/sessions/"+used.ID, nil, 204, nil)
	until(t, "the one that an administrator ended is gone", func() (bool, string) {
		left := d.jobsOf(t, "orphans", old)
		return len(left) == len(orphans)-1 && !slices.Contains(left, used.ID), strings.Join(left, " ")
	})
}
