package nomadfleet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestAllocFacts(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	task := func(state string, failed bool, events ...*nomadapi.TaskEvent) *nomadapi.TaskState {
		return &nomadapi.TaskState{State: state, Failed: failed, StartedAt: at, FinishedAt: at.Add(3 * time.Second), Events: events}
	}
	exited := func(code string) *nomadapi.TaskEvent {
		return &nomadapi.TaskEvent{Type: nomadapi.TaskTerminated, Details: map[string]string{"exit_code": code, "signal": "0"}}
	}
	event := func(kind, message string) *nomadapi.TaskEvent {
		return &nomadapi.TaskEvent{Type: kind, DisplayMessage: message}
	}
	tasks := func(pairs ...any) map[string]*nomadapi.TaskState {
		m := map[string]*nomadapi.TaskState{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1].(*nomadapi.TaskState)
		}
		return m
	}
	tests := []struct {
		name            string
		client, desired string
		tasks           map[string]*nomadapi.TaskState
		running, over   bool
		failure         *staging.Failure
	}{
		{"pending", "pending", "run", nil, false, false, nil},
		{"running", "running", "run", tasks("app", task("running", false)), true, false, nil},
		{"a prestart task runs, the main one waits", "running", "run", tasks("app", &nomadapi.TaskState{State: "pending"}, "init", task("running", false)), false, false, nil},
		{"a sidecar waits for its next start", "running", "run", tasks("app", task("running", false), "log", task("pending", false)), true, false, nil},
		{"asked to stop", "running", "stop", tasks("app", task("running", false)), false, false, nil},
		{"stopped", "complete", "stop", tasks("app", task("dead", false, event(nomadapi.TaskKilling, ""), exited("137"))), false, true, nil},
		{"stopped, its prestart task long done", "complete", "stop", tasks("app", task("dead", false, event(nomadapi.TaskKilling, "")), "init", task("dead", false, exited("0"))), false, true, nil},
		{"lost", "lost", "stop", tasks("app", task("running", false)), false, true, nil},
		{"disconnected", "unknown", "run", tasks("app", task("running", false)), false, false, nil},
		{
			"the driver cannot", "failed", "run", tasks("app", task("dead", true, event(nomadapi.TaskDriverFailure, "no such image"))), false, true,
			&staging.Failure{Type: staging.ImageUnavailable, Message: "task app: no such image"},
		},
		{
			"an artifact is not there, not over yet", "pending", "run", tasks("app", task("pending", false, event(nomadapi.TaskArtifactDownloadFailed, "404"))), false, false,
			&staging.Failure{Type: staging.ImageUnavailable, Message: "task app: 404"},
		},
		{
			"crashed, and took another with it", "failed", "run",
			tasks("aside", task("dead", false, event(nomadapi.TaskKilling, ""), exited("143")), "main", task("dead", true, exited("3"))), false, true,
			&staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 3 after 3s"},
		},
		{
			"crashed, then deregistered", "failed", "stop", tasks("main", task("dead", true, exited("3"))), false, true,
			&staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 3 after 3s"},
		},
		{
			"done by itself", "complete", "run", tasks("main", task("dead", false, exited("0"))), false, true,
			&staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 0 after 3s"},
		},
		{
			"done by itself, its sidecar killed after it", "complete", "run",
			tasks("main", task("dead", false, exited("0")), "side", task("dead", false, event(nomadapi.TaskKilling, ""), exited("143"))), false, true,
			&staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 0 after 3s"},
		},
		{
			"killed for its memory", "failed", "run",
			tasks("main", task("dead", true, &nomadapi.TaskEvent{Type: nomadapi.TaskTerminated, Details: map[string]string{"exit_code": "137", "oom_killed": "true"}})), false, true,
			&staging.Failure{Type: staging.CrashLooping, Message: "task main: exit code 137 (out of memory) after 3s"},
		},
		{
			"failed without a reason", "failed", "run", nil, false, true,
			&staging.Failure{Type: staging.CrashLooping, Message: "failed without a reason given"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := allocFacts(allocView{id: "a", clientStatus: tt.client, desiredStatus: tt.desired, tasks: tt.tasks, createTime: at.UnixNano()})
			want := &staging.AllocFacts{ID: "a", Running: tt.running, Over: tt.over, Failure: tt.failure, CreatedAt: at}
			if tt.failure != nil {
				if of, ok := strings.CutPrefix(tt.failure.Message, "task "); ok {
					want.FailedTask, _, _ = strings.Cut(of, ":")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	address, ports := endpoints(&nomadapi.AllocatedResources{
		Shared: nomadapi.AllocatedSharedResources{
			Ports:    []nomadapi.PortMapping{{Label: "http", Value: 20001, HostIP: "10.0.0.1"}, {Label: "vnc", Value: 20002, HostIP: "10.0.0.1"}},
			Networks: []*nomadapi.NetworkResource{{IP: "10.0.0.1", DynamicPorts: []nomadapi.Port{{Label: "http", Value: 20001}}}},
		},
		Tasks: map[string]*nomadapi.AllocatedTaskResources{
			"app": {Networks: []*nomadapi.NetworkResource{{IP: "10.0.0.2", ReservedPorts: []nomadapi.Port{{Label: "ssh", Value: 22}}}}},
		},
	})
	if diff := cmp.Diff(map[string]int{"http": 20001, "vnc": 20002, "ssh": 22}, ports); diff != "" || address != "10.0.0.1" {
		t.Errorf("address %q, ports %s", address, diff)
	}
	if address, ports := endpoints(nil); address != "" || ports != nil {
		t.Errorf("got %q, %v", address, ports)
	}
}
