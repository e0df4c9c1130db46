package nomadfleet_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestCheckDistinguishesInvalidFromUnavailable(t *testing.T) {
	r := newRig(t)
	good := app(t, "raw_exec")
	with := func(old, with string) staging.Image {
		i := good
		if !strings.Contains(i.Jobspec, old) {
			t.Fatalf("the jobspec has no %q", old)
		}
		i.Jobspec = strings.Replace(i.Jobspec, old, with, 1)
		return i
	}
	if err := r.Check(testContext(t), good); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		image staging.Image
		want  []string
	}{
		{"a brace is missing", with("group \"main\" {", "group \"main\""), []string{"line 7,15", "Invalid block definition"}},
		{"an unknown argument", with("port = \"http\"\n", "prot = \"http\"\n"), []string{"line 13,", "prot"}},
		{"a variable without value", staging.Image{Name: "app", Jobspec: good.Jobspec}, []string{"busybox", "Unset variable"}},
		{"two groups", with("group \"main\" {", "group \"other\" {\n task \"t\" {\n driver = \"raw_exec\"\n }\n }\n group \"main\" {"), []string{"exactly one group, has 2"}},
		{"count 3", with("network {", "count = 3\n network {"), []string{"count 1, has 3"}},
		{"a system job", with(`type = "batch"`, `type = "system"`), []string{`is "system"`}},
		{"periodic", with(`type = "batch"`, "type = \"batch\"\n periodic {\n cron = \"* * * * *\"\n }"), []string{"periodic"}},
		{"parameterized", with(`type = "batch"`, "type = \"batch\"\n parameterized {\n }"), []string{"parameterized"}},
		{"Nomad's own services", with("name = \"app\"", "name = \"app\"\n provider = \"nomad\""), []string{`has "nomad"`}},
		{"a check that Nomad refuses", with(`interval = "1s"`, `interval = "1ns"`), []string{"main validation failed: ", "interval (1ns) cannot be lower"}},
		{"an empty job", staging.Image{Name: "app", Jobspec: `job "a" {}`}, []string{"exactly one group, has 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := r.Check(testContext(t), tt.image)
			var invalid *staging.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != "jobspec" {
				t.Fatalf("got %v, want a refused jobspec", err)
			}
			t.Log(err)
			for _, want := range tt.want {
				if !strings.Contains(invalid.Fields[0].Message, want) {
					t.Errorf("%q does not say %q", invalid.Fields[0].Message, want)
				}
			}
		})
	}

	client, err := nomadfleet.NewClient(nomadfleet.Settings{Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	err = nomadfleet.New(client, nomadfleet.Options{}).Check(testContext(t), good)
	var invalid *staging.InvalidError
	if !errors.Is(err, nomadfleet.ErrUnavailable) || errors.As(err, &invalid) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}

func TestServiceJobspecBecomesABatchJob(t *testing.T) {
	r := newRig(t)
	image := app(t, "raw_exec")
	image.Jobspec = strings.Replace(image.Jobspec, `type = "batch"`, `type = "service"`, 1)
	s, alloc := r.start(t, r.session(t), image, nil)
	if !alloc.Running || alloc.Address == "" || alloc.Ports["http"] == 0 || alloc.CreatedAt.IsZero() {
		t.Fatalf("got %+v", alloc)
	}
	job, _, err := r.nomad.Jobs().Info(s.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *job.Type != "batch" || *job.TaskGroups[0].RestartPolicy.Attempts != 0 || *job.TaskGroups[0].ReschedulePolicy.Attempts != 0 {
		t.Fatalf("the job is not a session's: %+v", job)
	}
}

func TestRegisterIsCreateOnly(t *testing.T) {
	r := newRig(t)
	image := app(t, "raw_exec")
	s, first := r.start(t, r.session(t), image, nil)

	evalID, err := r.Register(testContext(t), staging.Spec{Session: s, Image: image, Zone: east, Environment: map[string]string{"OTHER": "1"}})
	if err != nil || evalID != "" {
		t.Fatalf("a repeat: %q, %v", evalID, err)
	}
	if _, err := r.Placement(testContext(t), s, evalID); err != nil {
		t.Fatal(err)
	}
	job, _, err := r.nomad.Jobs().Info(s.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.WaitRunning(testContext(t), s)
	if err != nil || again.ID != first.ID || *job.Version != 0 {
		t.Fatalf("the repeat changed the job: version %d, allocation %s, was %s (%v)", *job.Version, again.ID, first.ID, err)
	}

	// A job with the same id that is not the session's must not count as success.
	foreign := r.session(t)
	job.ID, job.Name, job.Meta = &foreign.ID, &foreign.ID, nil
	job.CreateIndex, job.ModifyIndex, job.JobModifyIndex = nil, nil, nil
	if _, _, err := r.nomad.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register(testContext(t), staging.Spec{Session: foreign, Image: image, Zone: east}); !errors.Is(err, nomadfleet.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestRegisterReturnsARefusal(t *testing.T) {
	r := newRig(t)
	image := app(t, "raw_exec")
	image.Jobspec = strings.Replace(image.Jobspec, `interval = "1s"`, `interval = "1ns"`, 1)
	_, err := r.Register(testContext(t), staging.Spec{Session: r.session(t), Image: image, Zone: east})
	var invalid *staging.InvalidError
	if !errors.As(err, &invalid) || invalid.Fields[0].Field != "jobspec" {
		t.Fatalf("got %v", err)
	}
	t.Log(err)

	zone := east
	zone.Namespace = "no-such-namespace"
	_, err = r.Register(testContext(t), staging.Spec{Session: r.session(t), Image: app(t, "raw_exec"), Zone: zone})
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), `nonexistent namespace "no-such-namespace"`) {
		t.Fatalf("got %v", err)
	}
}

func TestStopAndPurge(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	s, _ := r.start(t, r.session(t), app(t, "raw_exec"), nil)
	if err := r.Stop(ctx, s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the allocation ends", func() bool {
		alloc, _, err := r.nomad.Allocations().Info(s.AllocID, nil)
		return err == nil && alloc.ClientStatus == "complete"
	})
	ended, err := r.WaitRunning(ctx, s)
	if err != nil || !ended.Over || ended.Failure != nil {
		t.Fatalf("a session that was stopped on purpose has a failure, or did not end: %+v, %v", ended, err)
	}
	for range 2 {
		if err := r.Purge(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.nomad.Jobs().Info(s.ID, nil); err == nil {
		t.Fatal("the job still exists")
	}
	if err := r.Stop(ctx, s); err != nil {
		t.Fatalf("stopping a session that is gone: %v", err)
	}
	if err := r.Stop(ctx, staging.Session{ID: "somebody-elses-job"}); err == nil {
		t.Fatal("a job that is not a session was stopped")
	}
}

func TestFailedStarts(t *testing.T) {
	r := newRig(t)
	missing := app(t, "raw_exec")
	missing.Jobspec = strings.Replace(missing.Jobspec, `command = "/bin/sh"`, `command = "/does/not/exist"`, 1)
	unpulled := app(t, "docker")
	unpulled.Jobspec = strings.Replace(unpulled.Jobspec, testImage, "127.0.0.1:1/no-such-image:1", 1)
	crash := app(t, "raw_exec")
	crash.Jobspec = strings.Replace(crash.Jobspec, "exec ${var.busybox}", "exit 7; exec ${var.busybox}", 1)
	done := app(t, "raw_exec")
	done.Jobspec = strings.Replace(done.Jobspec, "exec ${var.busybox}", "exit 0; exec ${var.busybox}", 1)
	tests := []struct {
		name  string
		image staging.Image
		kind  staging.ConditionType
		text  string
	}{
		{"raw_exec without its program", missing, staging.ImageUnavailable, "/does/not/exist"},
		{"docker without its image", unpulled, staging.ImageUnavailable, "no-such-image"},
		{"exits with a code", crash, staging.CrashLooping, "task app: exit code 7 after"},
		{"exits with 0", done, staging.CrashLooping, "task app: exit code 0 after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, alloc := r.start(t, r.session(t), tt.image, nil)
			eventually(t, "it is over", func() bool {
				if !alloc.Over {
					alloc, _ = r.WaitRunning(testContext(t), s)
				}
				return alloc.Over
			})
			if alloc.Failure == nil || alloc.Failure.Type != tt.kind || !strings.Contains(alloc.Failure.Message, tt.text) {
				t.Fatalf("got %+v", alloc.Failure)
			}
			t.Log(alloc.Failure.Message)
		})
	}
}

func TestNotPlaceable(t *testing.T) {
	r := newRig(t)
	greedy := app(t, "raw_exec")
	greedy.Jobspec = strings.Replace(greedy.Jobspec, "memory = 16", "memory = 900000000", 1)
	nowhere := staging.Zone{Name: "east", Datacenters: []string{"dc9"}}
	constrained := app(t, "raw_exec")
	constrained.Jobspec = strings.Replace(constrained.Jobspec, `type = "batch"`,
		"type = \"batch\"\nconstraint {\n attribute = \"$${attr.kernel.name}\"\n value = \"windows\"\n}", 1)
	undriven := app(t, "raw_exec")
	undriven.Jobspec = strings.Replace(undriven.Jobspec, `driver = "raw_exec"`, `driver = "qemu"`, 1)
	both := staging.Zone{Name: "east", Datacenters: []string{"dc1", "dc2"}}
	tests := []struct {
		name    string
		image   staging.Image
		zone    staging.Zone
		kind    staging.ConditionType
		message string
	}{
		{"too large", greedy, both, staging.CapacityExhausted, "not enough memory in zone east (2 of 2 nodes)"},
		{"no such datacenter", app(t, "raw_exec"), nowhere, staging.NoNodesInZone, "no node in datacenter dc9 in zone east"},
		{"another kernel", constrained, east, staging.NoNodesInZone, "no node fits in zone east: ${attr.kernel.name} = windows on 1 node"},
		{"a driver that is not there", undriven, east, staging.NoNodesInZone, "no node fits in zone east: missing driver qemu on 1 node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := r.session(t)
			ctx := testContext(t)
			evalID, err := r.Register(ctx, staging.Spec{Session: s, Image: tt.image, Zone: tt.zone})
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{evalID, ""} {
				placement, err := r.Placement(ctx, s, id)
				if err != nil {
					t.Fatal(err)
				}
				if placement.Refused == nil || placement.Refused.Type != tt.kind || placement.Refused.Message != tt.message {
					t.Fatalf("got %+v, want %s", placement.Refused, tt.message)
				}
			}
			obs := r.listed(t, s.ID)
			if obs.Alloc != nil || obs.Placement == nil || obs.Placement.Refused == nil || obs.Placement.Refused.Message != tt.message {
				t.Fatalf("the list says %+v", obs)
			}
			short, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := r.WaitRunning(short, s); !errors.Is(err, context.Canceled) || errors.Is(err, nomadfleet.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
