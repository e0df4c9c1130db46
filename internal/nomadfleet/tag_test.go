package nomadfleet_test

import (
	"slices"
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestTagShowsTheUserAndTouchesNothingElse: the allocation keeps running, Consul shows
// the session's user, and a stopped session stays stopped.
func TestTagShowsTheUserAndTouchesNothingElse(t *testing.T) {
	r := newRig(t)
	s, before := r.start(t, r.session(t), app(t, "raw_exec"), nil)
	s.User = &staging.User{ID: "u ${node.datacenter}", Name: "O'Brien \"$x\" ${attr.kernel.name}\n😀" + strings.Repeat("é", 400)}
	for range 2 {
		if err := r.Tag(testContext(t), s); err != nil {
			t.Fatal(err)
		}
	}
	job, _, err := r.nomad.Jobs().Info(s.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *job.Version != 1 {
		t.Errorf("after tagging twice the job has version %d, want one change", *job.Version)
	}
	consul, err := consulapi.NewClient(&consulapi.Config{Address: shared.Cluster(t).ConsulAddr})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "Consul shows the user", func() bool {
		entries, _, err := consul.Health().Service(staging.PoolService("app-east"), "", true, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			m := e.Service.Meta
			if m["greenroom_session"] == s.ID && m["greenroom_state"] == "assigned" {
				if m["greenroom_user_id"] != s.User.ID || !strings.HasPrefix(s.User.Name, strings.ReplaceAll(m["greenroom_user_name"], " 😀", "\n😀")) ||
					len(m["greenroom_user_name"]) < 500 || !slices.Contains(e.Service.Tags, "user="+s.User.ID) || slices.Contains(e.Service.Tags, "state=unassigned") {
					t.Fatalf("tags %q, meta %q", e.Service.Tags, m)
				}
				return true
			}
		}
		return false
	})
	allocs, _, err := r.nomad.Jobs().Allocations(s.ID, true, nil)
	if err != nil || len(allocs) != 1 || allocs[0].ID != before.ID || allocs[0].ClientStatus != nomadapi.AllocClientStatusRunning {
		t.Errorf("allocations %v %v, want %s alone, running", allocs, err, before.ID)
	}
	if out := r.shell(t, s, "echo still here"); out != "still here\n" {
		t.Errorf("the session's shell printed %q", out)
	}

	if err := r.Stop(testContext(t), s); err != nil {
		t.Fatal(err)
	}
	s.User = &staging.User{ID: "late"}
	if err := r.Tag(testContext(t), s); err != nil {
		t.Fatal(err)
	}
	if job, _, err = r.nomad.Jobs().Info(s.ID, nil); err != nil || !*job.Stop {
		t.Errorf("tagging brought a stopped session back: %v", err)
	}
	if err := r.Tag(testContext(t), staging.Session{ID: "gr-nobody", User: s.User}); err != nil {
		t.Errorf("a session that does not exist: %v", err)
	}
}
