package consulhealth

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
)

var servers = devtest.Share(devcluster.Options{NoRedis: true})

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

const alloc = "3f2c1d00-aaaa-bbbb-cccc-0123456789ab"

// register adds an instance as Nomad does, with a check that the test updates.
func register(t *testing.T, client *api.Client, service, session string) (check string) {
	t.Helper()
	id := "_nomad-task-" + alloc + "-group-session-" + service + "-http"
	err := client.Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID: id, Name: service, Port: 1, Meta: map[string]string{SessionMeta: session},
		Check: &api.AgentServiceCheck{CheckID: id + "-check", TTL: "10m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Agent().ServiceDeregister(id) })
	return id + "-check"
}

func TestWatchFollowsChecksAndPassingIsAllOfThem(t *testing.T) {
	client, err := api.NewClient(&api.Config{Address: servers.Cluster(t).ConsulAddr})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	emitted := make(chan []staging.Health, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- New(client).Watch(ctx, "greenroom-pool-p", func(h []staging.Health) { emitted <- h })
	}()
	until := func(what string, ok func([]staging.Health) bool) {
		t.Helper()
		deadline := time.After(2 * time.Minute)
		for {
			select {
			case h := <-emitted:
				if ok(h) {
					return
				}
			case <-deadline:
				t.Fatalf("the watch never emitted: %s", what)
			}
		}
	}
	until("nothing there", func(h []staging.Health) bool { return len(h) == 0 })
	check := register(t, client, "greenroom-pool-p", "gr-1")
	name := "Service 'greenroom-pool-p' check"
	until("there, not passing", func(h []staging.Health) bool {
		return len(h) == 1 && h[0] == staging.Health{Session: "gr-1", AllocID: alloc, Port: 1, Failing: true, Check: staging.FailingCheck{Name: name}}
	})
	session := staging.Session{ID: "gr-1", Origin: staging.Staged, Staging: "p", AllocID: alloc}
	for _, status := range []string{api.HealthWarning, api.HealthCritical} {
		if err := client.Agent().UpdateTTL(check, "dial tcp 127.0.0.1:23456:\n connection refused", status); err != nil {
			t.Fatal(err)
		}
	}
	want := staging.FailingCheck{Name: name, Output: "dial tcp 127.0.0.1:23456: connection refused"}
	until("its output", func(h []staging.Health) bool { return len(h) == 1 && h[0].Check == want })
	if got, err := New(client).FailingCheck(ctx, session); err != nil || got != want {
		t.Errorf("its failing check is %+v, %v", got, err)
	}

	waited := make(chan error, 1)
	go func() { waited <- New(client).WaitPassing(ctx, "greenroom-pool-p", "gr-1") }()
	select {
	case err := <-waited:
		t.Fatalf("WaitPassing returned for a session that does not pass: %v", err)
	default:
	}
	if err := client.Agent().UpdateTTL(check, "", api.HealthPassing); err != nil {
		t.Fatal(err)
	}
	until("passing", func(h []staging.Health) bool { return len(h) == 1 && h[0].Passing && !h[0].Failing })
	if got, err := New(client).FailingCheck(ctx, session); err != nil || got != (staging.FailingCheck{}) {
		t.Errorf("its failing check is %+v, %v; it passes", got, err)
	}
	if err := <-waited; err != nil {
		t.Errorf("WaitPassing: %v", err)
	}
	if err := client.Agent().EnableServiceMaintenance("_nomad-task-"+alloc+"-group-session-greenroom-pool-p-http", "test"); err != nil {
		t.Fatal(err)
	}
	until("in maintenance: one of two checks is critical, and it is not the session's", func(h []staging.Health) bool {
		return len(h) == 1 && !h[0].Passing && !h[0].Failing
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

func TestAConsulThatIsAwayIsAnError(t *testing.T) {
	client, err := api.NewClient(&api.Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := New(client).Watch(t.Context(), "greenroom-x", func([]staging.Health) { t.Error("emitted something") }); err == nil || !strings.Contains(err.Error(), "watch the instances of service greenroom-x") {
		t.Errorf("%v, want an error that names the call", err)
	}
	if _, err := New(client).Passing(t.Context(), "greenroom-x"); err == nil || !strings.Contains(err.Error(), "passing instances of service greenroom-x") {
		t.Errorf("%v, want an error that names the call", err)
	}
}

func TestAllocIDIsReadFromNomadsServiceID(t *testing.T) {
	for id, want := range map[string]string{
		"_nomad-task-" + alloc + "-group-session-greenroom-pool-p-http": alloc,
		"_nomad-task-short": "", "web": "",
	} {
		if got := allocID(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}
