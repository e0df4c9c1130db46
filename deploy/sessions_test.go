package deploy_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// mockSession is a jobspec with a mock task, which runs nothing. An exec in it returns 7.
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
        run_for       = "1h"
        stderr_string = "first\nthe last line\n"
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

// rawSession is a jobspec with a process on the node.
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

// start registers a session, waits until it runs and returns it with its allocation.
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

// execIn runs a command in a session, as a hook does.
func execIn(t *testing.T, f *nomadfleet.Fleet, s staging.Session) error {
	t.Helper()
	_, err := exitCodeIn(t, f, s)
	return err
}

func exitCodeIn(t *testing.T, f *nomadfleet.Fleet, s staging.Session) (code int, err error) {
	t.Helper()
	ctx := patient(t)
	return devtest.Answered(func() (int, error) {
		return f.Exec(ctx, s, "", []string{"/bin/true"}, strings.NewReader(""), io.Discard, io.Discard)
	})
}

func (g *guarded) fleet(t *testing.T, token string) *nomadfleet.Fleet {
	t.Helper()
	settings := nomadfleet.Settings{Address: g.nomadAddr, Token: token, TLS: &nomadapi.TLSConfig{CACert: g.ca.File("ca.pem")}}
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

// drained waits until all allocations of a job have ended; "" stands for all jobs. It
// has a context of its own, because in a clean-up the test's context has ended.
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
