package nomadfleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	nomadapi "github.com/hashicorp/nomad/api"
	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/staging"
)

// template returns a parsed jobspec with everything that Fit must change.
func template() *nomadapi.Job {
	policy := &nomadapi.RestartPolicy{Attempts: ptr(3), Mode: ptr("delay")}
	return &nomadapi.Job{
		ID: ptr("template"), Name: ptr("template"), Type: ptr("service"), Region: ptr("global"), Namespace: ptr("default"),
		Meta: map[string]string{"team": "a", "greenroom_session": "a lie", "GREENROOM_DOLLAR": "a lie"}, Update: &nomadapi.UpdateStrategy{},
		TaskGroups: []*nomadapi.TaskGroup{{
			Name: ptr("main"), Meta: map[string]string{"greenroom_dollar": "a lie"}, RestartPolicy: policy,
			Update: &nomadapi.UpdateStrategy{}, Migrate: &nomadapi.MigrateStrategy{}, Scaling: &nomadapi.ScalingPolicy{},
			Networks: []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}},
			Services: []*nomadapi.Service{{
				Name: "app", PortLabel: "http", Tags: []string{"own"}, Meta: map[string]string{"k": "v"},
				Checks: []nomadapi.ServiceCheck{{Type: "http", Path: "/health"}, {Type: "tcp", InitialStatus: "passing"}},
			}},
			Tasks: []*nomadapi.Task{
				{Name: "init", Driver: "docker", Lifecycle: &nomadapi.TaskLifecycle{Hook: "prestart"}, RestartPolicy: policy},
				{Name: "app", Driver: "docker", RestartPolicy: policy, Env: map[string]string{"PORT": "${NOMAD_PORT_http}", "K": "template"}},
				{Name: "aside", Driver: "docker", RestartPolicy: policy},
			},
		}},
	}
}

func TestFit(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s := staging.Session{ID: "gr-1", Origin: staging.Staged, Zone: "eu", Image: "app", Staging: "app-eu", Revision: "r1", CreatedAt: created}
	z := staging.Zone{Name: "eu", Region: "europe", Datacenters: []string{"dc1", "dc2"}, NodePool: "gpu", Namespace: "prod"}
	job := Fit(template(), staging.Spec{
		Session: s, Zone: z, Environment: map[string]string{"K": "launch ${node.datacenter}"},
		RunConfig: map[string]any{"hostname": "h", "volumes": []any{"/o:/o"}},
		Volumes:   []staging.VolumeMapping{{Source: "/srv/${x}", Target: "/data", ReadOnly: true}, {Source: "/a", Target: "/b"}},
		SSHKeys:   []string{"ssh-rsa AAAA me", "ssh-rsa BBBB"},
		Avoid:     []string{"node-1"},
	})

	g := job.TaskGroups[0]
	equal := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	equal("avoids", []*nomadapi.Affinity{nomadapi.NewAffinity("${node.unique.id}", "=", "node-1", -100)}, g.Affinities)
	equal("id", "gr-1 gr-1 batch", *job.ID+" "+*job.Name+" "+*job.Type)
	equal("where", "europe prod gpu dc1,dc2", *job.Region+" "+*job.Namespace+" "+*job.NodePool+" "+strings.Join(job.Datacenters, ","))
	equal("meta", map[string]string{
		"team": "a", metaSession: "gr-1", metaSchema: "1", metaOrigin: "staged", metaZone: "eu", metaImage: "app", metaStaging: "app-eu",
		metaRevision: "r1", metaTask: "app", metaCreated: "2026-01-02T03:04:05.000000006Z", metaDollar: "$", metaCheckEvery: "0s", metaDrivers: "docker", metaCPU: "200", metaMemory: "600",
	}, job.Meta)
	equal("group meta", map[string]string{}, g.Meta)
	if job.Update != nil || g.Update != nil || g.Migrate != nil || g.Scaling != nil {
		t.Error("a batch job allows none of update, migrate and scaling")
	}
	equal("count", 1, *g.Count)
	equal("restart", "0 fail", strings.TrimSpace(strings.Join([]string{jsonOf(t, g.RestartPolicy.Attempts), *g.RestartPolicy.Mode}, " ")))
	for _, task := range g.Tasks {
		equal("restart of "+task.Name, 0, *task.RestartPolicy.Attempts)
	}
	if *g.ReschedulePolicy.Attempts != 0 || *g.ReschedulePolicy.Unlimited {
		t.Error("Nomad would move it")
	}
	if g.Disconnect != nil {
		t.Error("Nomad would call its node disconnected when it is down")
	}
	withDisconnect := template()
	withDisconnect.TaskGroups[0].Disconnect = &nomadapi.DisconnectStrategy{LostAfter: ptr(time.Hour)}
	if d := Fit(withDisconnect, staging.Spec{Session: s, Zone: z}).TaskGroups[0].Disconnect; *d.Replace || *d.LostAfter != time.Hour {
		t.Errorf("Nomad would replace it: %+v", d)
	}
	own := map[string]string{"GREENROOM_SESSION_ID": "gr-1", "GREENROOM_IMAGE": "app", "GREENROOM_ZONE": "eu", "K": "launch ${NOMAD_META_greenroom_dollar}{node.datacenter}"}
	equal("env of a second main task", own, g.Tasks[2].Env)
	own["K"] = "template" // the image's own variables go over the launch's
	own["PORT"], own["GREENROOM_SSH_AUTHORIZED_KEYS"] = "${NOMAD_PORT_http}", "${NOMAD_SECRETS_DIR}/ssh/authorized_keys"
	equal("env of the main task", own, g.Tasks[1].Env)
	equal("env of the init task", 0, len(g.Tasks[0].Env))
	equal("config of the main task", map[string]any{
		"hostname": "h", "volumes": []any{"/o:/o", "/srv/${NOMAD_META_greenroom_dollar}{x}:/data:ro", "/a:/b"},
	}, g.Tasks[1].Config)
	equal("config of another", 0, len(g.Tasks[2].Config))
	equal("keys", "secrets/ssh/authorized_keys ssh-rsa AAAA me\nssh-rsa BBBB\n", *g.Tasks[1].Templates[0].DestPath+" "+*g.Tasks[1].Templates[0].EmbeddedTmpl)
	equal("service", &nomadapi.Service{
		Name: "greenroom-pool-app-eu", Provider: "consul", PortLabel: "http",
		Tags: []string{"own", "greenroom", "zone=eu", "image=app", "origin=staged"},
		Meta: map[string]string{"k": "v", metaSession: "gr-1", metaSchema: "1", metaZone: "eu", metaImage: "app", metaStaging: "app-eu", metaOrigin: "staged"},
		Checks: []nomadapi.ServiceCheck{
			{Name: "port http (http /health)", Type: "http", Path: "/health", InitialStatus: "warning"}, {Name: "port http (tcp)", Type: "tcp", InitialStatus: "passing"},
		},
	}, g.Services[0])
}

func TestFitOnDemandAndWithoutService(t *testing.T) {
	job := template()
	job.TaskGroups[0].Services = nil
	if p := templateProblems(job); p != "" {
		t.Fatal(p)
	}
	s := staging.Session{ID: "gr-1", Origin: staging.OnDemand, Zone: "eu", Image: "app", Claim: "c1"}
	s.User = &staging.User{ID: "u\n1", Name: "n ${x}"}
	job = Fit(job, staging.Spec{Session: s, Zone: staging.Zone{Name: "eu", Datacenters: []string{"dc1"}}})
	service := job.TaskGroups[0].Services[0]
	if service.Name != "greenroom-on-demand-eu" || service.PortLabel != "http" || len(service.Checks) != 1 || service.Checks[0].Type != "tcp" {
		t.Errorf("got %+v", service)
	}
	// Consul's catalog shows the user, for staged sessions and these alike.
	if text := fmt.Sprint(service.Tags, service.Meta); strings.Contains(text, "user") || strings.Contains(text, "assigned") {
		t.Errorf("the service shows its user: %s", text)
	}
	if job.Region != nil || job.Namespace != nil || job.NodePool != nil {
		t.Error("fields that the zone leaves empty must stay empty, so that Nomad chooses")
	}
	if _, ok := job.Meta[metaStaging]; ok || job.Meta[metaClaim] != "c1" || job.Meta[metaOrigin] != "on_demand" {
		t.Errorf("meta %v", job.Meta)
	}
}

// TestWhoWaitsGoesFirst: an on-demand job has a higher priority than staged ones, but
// not so much higher that Nomad would preempt them.
func TestWhoWaitsGoesFirst(t *testing.T) {
	priorityOf := func(origin staging.Origin, own *int) int {
		job := template()
		job.Priority = own
		job = Fit(job, staging.Spec{Session: staging.Session{ID: "gr-1", Origin: origin}, Zone: staging.Zone{Name: "eu"}})
		return deref(job.Priority)
	}
	for _, tt := range []struct {
		own              *int
		staged, onDemand int
	}{{nil, 0, 55}, {ptr(50), 50, 55}, {ptr(70), 70, 75}, {ptr(98), 98, 100}} {
		if staged, onDemand := priorityOf(staging.Staged, tt.own), priorityOf(staging.OnDemand, tt.own); staged != tt.staged || onDemand != tt.onDemand {
			t.Errorf("template with priority %d: staged %d, on demand %d", deref(tt.own), staged, onDemand)
		}
	}
}

func TestTemplateProblems(t *testing.T) {
	tests := []struct {
		name   string
		change func(*nomadapi.Job, *nomadapi.TaskGroup)
		want   string
	}{
		{"fit", func(*nomadapi.Job, *nomadapi.TaskGroup) {}, ""},
		{"multiregion", func(j *nomadapi.Job, _ *nomadapi.TaskGroup) { j.Multiregion = &nomadapi.Multiregion{} }, "multiregion"},
		{"only lifecycle tasks", func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Tasks = g.Tasks[:1] }, "without a lifecycle block"},
		{"no driver", func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Tasks[1].Driver = "" }, `task "app" must name a driver`},
		{"poststop", func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Tasks[0].Lifecycle.Hook = "poststop" }, "poststop"},
		{"nothing to check", func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Services, g.Networks = nil, nil }, "must have a service, or a port"},
		{"two things at once", func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Count = ptr(2); g.Tasks[1].Driver = "" }, `has 2: the staging config says how many sessions there are; task "app"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			job := template()
			tt.change(job, job.TaskGroups[0])
			got := templateProblems(job)
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// interpolate is our copy of Nomad's interpolation of an environment value (1.10,
// helper/args.ReplaceEnv): it replaces known names in ${}, in one pass.
func interpolate(v string, known map[string]string) string {
	var b strings.Builder
	for {
		start := strings.Index(v, "${")
		if start < 0 {
			return b.String() + v
		}
		end := start + 2
		for end < len(v) && strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", rune(v[end])) {
			end++
		}
		if end == len(v) || v[end] != '}' || end == start+2 {
			b.WriteString(v[:start+1])
			v = v[start+1:]
			continue
		}
		b.WriteString(v[:start])
		if value, ok := known[v[start+2:end]]; ok {
			b.WriteString(value)
		} else {
			b.WriteString(v[start : end+1])
		}
		v = v[end+1:]
	}
}

func TestLiteralSurvivesInterpolation(t *testing.T) {
	known := map[string]string{"NOMAD_META_" + metaDollar: "$", "a": "${b}", "b": "B", "node.datacenter": "dc1", "NOMAD_TOKEN": "secret"}
	word := rapid.SampledFrom([]string{"$", "{", "}", "${", "$${", "a", "b", ".", "${a}", "${node.datacenter}", "${NOMAD_TOKEN}", "${NOMAD_META_" + metaDollar + "}", "NOMAD_META_" + metaDollar, "é", "\n", " "})
	rapid.Check(t, func(t *rapid.T) {
		v := strings.Join(rapid.SliceOfN(word, 0, 12).Draw(t, "words"), "")
		if got := interpolate(literal(v), known); got != v {
			t.Fatalf("%q became %q, encoded as %q", v, got, literal(v))
		}
	})
}

func TestVariablesFile(t *testing.T) {
	got := variablesFile(map[string]string{"b": "x\"y\\z", "a": "${a} %{b} $5 100%\n\ttab", "c": "\U0001F600\x01"})
	want := `a = "$${a} %%{b} $5 100%\n\ttab"` + "\n" + `b = "x\"y\\z"` + "\n" + `c = "` + "\U0001F600" + `\u0001"` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTemplateCacheIsBoundedAndShared(t *testing.T) {
	var c templateCache
	for i := range maxTemplates + 10 {
		c.put([32]byte{byte(i), byte(i >> 8)}, json.RawMessage(`{"ID":"x","Meta":{"k":"v"}}`))
	}
	if len(c.jobs) != maxTemplates || len(c.order) != maxTemplates {
		t.Errorf("holds %d", len(c.jobs))
	}
	if _, ok := c.get([32]byte{0}); ok {
		t.Error("the oldest is still there")
	}
	key := [32]byte{20}
	one, _ := c.get(key)
	one.Meta["k"] = "changed"
	if two, ok := c.get(key); !ok || two.Meta["k"] != "v" {
		t.Error("two sessions share one job")
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCheckDriverNamesUnsupportedFields(t *testing.T) {
	profile := staging.Image{Name: "i", PersistentProfilePath: "/srv"}
	mapped := []staging.VolumeMapping{{Source: "/a", Target: "/b"}}
	for name, c := range map[string]struct {
		driver string
		spec   staging.Spec
		want   string
	}{
		"docker's own":           {"docker", staging.Spec{RunConfig: map[string]any{"hostname": "h", "shm_size": 1}, Volumes: mapped}, ""},
		"docker's key elsewhere": {"raw_exec", staging.Spec{RunConfig: map[string]any{"hostname": "h"}}, "run_config.hostname"},
		"volumes":                {"exec", staging.Spec{Volumes: mapped}, "volume_mappings"},
		"a profile":              {"raw_exec", staging.Spec{Image: profile, Volumes: mapped}, "persistent_profile_path"},
		"an unknown driver":      {"podman", staging.Spec{RunConfig: map[string]any{"anything": 1}, Volumes: mapped}, ""},
	} {
		job := template()
		job.TaskGroups[0].Tasks[1].Driver = c.driver
		got := ""
		var invalid *staging.InvalidError
		if errors.As(checkDriver(job, c.spec), &invalid) {
			got = invalid.Fields[0].Field
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestChecksWithoutANameAreNamedAfterWhatTheyCheck: it is what a person reads when one fails.
func TestChecksWithoutANameAreNamedAfterWhatTheyCheck(t *testing.T) {
	for _, c := range []struct {
		check      nomadapi.ServiceCheck
		port, want string
	}{
		{nomadapi.ServiceCheck{Type: "http", Path: "/health"}, "http", "port http (http /health)"},
		{nomadapi.ServiceCheck{Type: "tcp", PortLabel: "vnc"}, "http", "port vnc (tcp)"},
		{nomadapi.ServiceCheck{Type: "grpc", GRPCService: "desk.Health"}, "rpc", "port rpc (grpc desk.Health)"},
		{nomadapi.ServiceCheck{Type: "script", Command: "/bin/ready"}, "", "script /bin/ready"},
		{nomadapi.ServiceCheck{Name: "desktop is up", Type: "tcp"}, "http", "desktop is up"},
	} {
		if nameCheck(&c.check, c.port); c.check.Name != c.want {
			t.Errorf("%+v on port %q is called %q, want %q", c.check, c.port, c.check.Name, c.want)
		}
	}
}
