package nomadfleet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// TestVoidPartsOfAJobspec: what Nomad accepts and a session has nothing of is named, each with its
// place, and Nomad's own defaults are not.
func TestVoidPartsOfAJobspec(t *testing.T) {
	r := newRig(t)
	for _, i := range []staging.Image{
		{Name: "raw-exec", Jobspec: jobspecs.DemoRawExec, Variables: map[string]string{"command": "/bin/true"}},
		{Name: "docker", Jobspec: jobspecs.DemoDocker, Variables: map[string]string{"image": "x"}},
		{Name: "mock", Jobspec: jobspecs.DemoMock},
	} {
		if found, err := r.Warnings(testContext(t), i); err != nil || len(found) > 0 {
			t.Errorf("%s: %q %v", i.Name, found, err)
		}
	}
	found, err := r.Warnings(testContext(t), staging.Image{Name: "void", Jobspec: `
job "void" {
  spread { attribute = "${node.datacenter}" }
  constraint {
    operator = "distinct_hosts"
    value    = "true"
  }
  update { max_parallel = 1 }
  migrate { max_parallel = 1 }
  group "g" {
    network {
      port "http" {}
    }
    spread { attribute = "${meta.rack}" }
    reschedule { attempts = 3 }
    scaling {
      min = 1
      max = 3
    }
    constraint {
      distinct_property = "${meta.rack}"
    }
    service {
      port = "http"
      check {
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
        check_restart { limit = 3 }
      }
    }
    task "main" {
      driver = "mock_driver"
    }
  }
}`})
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, f := range found {
		place, _, _ := strings.Cut(f, " has no effect")
		places = append(places, strings.TrimPrefix(place, "jobspec: the "))
		if !strings.Contains(f, "has no effect: it ") {
			t.Errorf("%q does not say why", f)
		}
	}
	slices.Sort(places)
	want := []string{
		`check_restart of group "g"`, `constraint distinct_hosts of the job`, `constraint distinct_property of group "g"`, `migrate of the job`,
		`reschedule of group "g"`, `scaling of group "g"`, `spread of group "g"`, `spread of the job`, `update of the job`,
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
