package deploy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// sessions are those of the tests: pretended, but one can exec in them.
const mockSession = `
job "app" {
  group "session" {
    network {
      port "http" {}
    }
    service {
      name     = "app"
      provider = "consul"
      port     = "http"
    }
    task "session" {
      driver = "mock_driver"
      config {
        run_for = "1h"
        exec_command {
          run_for       = "1ms"
          exit_code     = 7
          stdout_string = "greeted"
        }
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`

const rawSession = `
job "app" {
  group "session" {
    network {
      port "http" {}
    }
    service {
      name     = "app"
      provider = "consul"
      port     = "http"
    }
    task "session" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["3600"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`

var (
	zone      = staging.Zone{Name: "east", Datacenters: []string{"dc1"}}
	elsewhere = staging.Zone{Name: "west", Datacenters: []string{"dc1"}, Namespace: "elsewhere"}
)

func image(jobspec string) staging.Image { return staging.Image{Name: "app", Jobspec: jobspec} }

func newSession(z staging.Zone) staging.Session {
	return staging.Session{
		ID: staging.NewSessionID(), Origin: staging.OnDemand, Zone: z.Name, Image: "app",
		Claim: staging.NewClaimID(), CreatedAt: time.Now().UTC(),
	}
}

// start registers a session and waits until it runs.
func start(t *testing.T, f *nomadfleet.Fleet, s staging.Session, jobspec string, z staging.Zone) staging.Session {
	t.Helper()
	evalID, err := f.Register(patient(t), staging.Spec{Session: s, Image: image(jobspec), Zone: z})
	if err != nil {
		t.Fatalf("register a session: %v", err)
	}
	s.Namespace = z.Namespace
	if placed, err := f.Placement(patient(t), s, evalID); err != nil || placed.Refused != nil {
		t.Fatalf("place a session: %+v, %v", placed.Refused, err)
	}
	alloc, err := f.WaitRunning(patient(t), s)
	if err != nil || !alloc.Running {
		t.Fatalf("wait for a session: %+v, %v", alloc.Failure, err)
	}
	s.AllocID, s.NodeID, s.Task = alloc.ID, alloc.NodeID, "session"
	return s
}

func execIn(t *testing.T, f *nomadfleet.Fleet, s staging.Session) error {
	t.Helper()
	var out strings.Builder
	_, err := f.Exec(patient(t), s, "", []string{"/bin/true"}, strings.NewReader(""), &out, &out)
	return err
}

func (g *guarded) fleet(t *testing.T, token string) *nomadfleet.Fleet {
	t.Helper()
	settings := nomadfleet.Settings{Address: g.nomadAddr, Token: token}
	client, err := nomadfleet.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	execs, err := nomadfleet.NewExecClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); execs.Close() })
	return nomadfleet.New(client, nomadfleet.Options{Exec: execs})
}

func (g *guarded) node(t *testing.T) string {
	t.Helper()
	nodes, _, err := g.nomad.Nodes().List(nil)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("nodes %v, %v", nodes, err)
	}
	return nodes[0].ID
}

// drained waits until no allocation of a job runs any more; "" is any job. It is
// for clean-ups, when the test's own context has ended.
func (g *guarded) drained(t *testing.T, job string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		allocs, _, err := g.nomad.Nodes().Allocations(g.node(t), (&nomadapi.QueryOptions{}).WithContext(ctx))
		left := 0
		for _, a := range allocs {
			if (job == "" || a.JobID == job) && (a.ClientStatus == "running" || a.ClientStatus == "pending") {
				left++
			}
		}
		if err == nil && left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("%d allocations still run (%v)", left, err)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
