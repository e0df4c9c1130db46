package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// savingImage returns the demo in Docker with a persistent profile below a directory. A
// session notes in the profile when it starts, saves for some seconds when it is told to end,
// and notes then that it has saved.
func savingImage(t *testing.T, name, dir string) staging.Image {
	t.Helper()
	if err := devcluster.DockerAvailable(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no Docker daemon answers, and only containers see a profile: ", err)
	}
	tag, err := devcluster.BuildDemoImage(t.Context())
	must(t, err)
	jobspec := strings.Replace(jobspecs.DemoDocker, `command    = "/demo-session"
        args       = ["-listen", ":${NOMAD_PORT_http}"]`, `command    = "/bin/sh"
        args       = ["-c", "trap 'sleep 5; echo saved $NOMAD_JOB_ID >>/profile/log; exit 0' TERM INT; echo started $NOMAD_JOB_ID >>/profile/log; /demo-session -listen :${NOMAD_PORT_http} & while :; do wait; done"]`, 1)
	jobspec = strings.Replace(jobspec, `kill_timeout = "1s"`, `kill_timeout = "20s"`, 1)
	if !strings.Contains(jobspec, "saved $NOMAD_JOB_ID") || !strings.Contains(jobspec, `kill_timeout = "20s"`) {
		t.Fatal("the demo's jobspec has changed:\n", jobspec)
	}
	return staging.Image{
		Name: name, Jobspec: jobspec, Variables: map[string]string{"image": tag, "warmup": "0s"},
		PersistentProfilePath: filepath.Join(dir, "{user_id}"),
	}
}

// isInTurn checks, by what they have noted in a user's profile, that sessions had it one after
// the other, and that the last one has it still.
func isInTurn(t *testing.T, dir, user string, sessions ...launched) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "u-"+user, "log"))
	must(t, err)
	var want []string
	for i, s := range sessions {
		if want = append(want, "started "+s.ID); i < len(sessions)-1 {
			want = append(want, "saved "+s.ID)
		}
	}
	if got := strings.Split(strings.TrimSpace(string(b)), "\n"); !slices.Equal(got, want) {
		t.Errorf("%s's profile: %q, want %q", user, got, want)
	}
}

// TestAPersistentProfileIsOneSessionsAtATime: the directory itself shows that a session starts
// only when the one before has saved, whatever ended that.
func TestAPersistentProfileIsOneSessionsAtATime(t *testing.T) {
	dir := t.TempDir()
	image := savingImage(t, "saving", dir)
	c, d := startServersWith(t, devcluster.Options{Datacenters: []string{"dc1"}, Docker: true})
	scalers := []*agent{startAgent(t, c, "scaler"), startAgent(t, c, "scaler")}
	d.ask(t, "PUT", "/v1/images/saving", image, 201, nil)
	d.ask(t, "PUT", "/v1/groups/brief", staging.Group{Name: "brief", Priority: 1, SessionTimeLimit: staging.Duration(5 * time.Second)}, 201, nil)
	until(t, "Redis is believed", func() (bool, string) { return d.believed(t, "east"), "" })

	// What a broker leaves that dies between the lease and the fate record.
	consul := registry.New(d.consul(t), "")
	stray := staging.ProfileLease{Path: filepath.Join(dir, "u-stray"), Session: staging.NewSessionID(), Zone: "east", TakenAt: time.Now()}
	taken, _, err := consul.TakeProfile(t.Context(), stray)
	if must(t, err); !taken {
		t.Fatal("a fresh profile is in use")
	}
	d.refusedProfile(t, "stray", stray.Session)

	var first, second launched
	t.Run("one after the other", func(t *testing.T) {
		t.Run("it is waited for", func(t *testing.T) {
			t.Parallel()
			first = d.launchSaving(t, "ann")
			d.refusedProfile(t, "ann", first.ID)
			next := make(chan backgroundReply, 1)
			go func() {
				r, err := d.call("POST", "/v1/sessions?wait=1m", jsonText(launch("saving", "east", "ann")))
				next <- backgroundReply{r, err}
			}()
			d.ask(t, "DELETE", "/v1/sessions/"+first.ID, nil, 204, nil)
			r := <-next
			must(t, r.err)
			if must(t, json.Unmarshal(r.body, &second)); r.status != 201 {
				t.Fatalf("the launch that waited: %d %s", r.status, r.body)
			}
			isInTurn(t, dir, "ann", first, second)
		})
		for user, c := range map[string]struct {
			groups []string
			end    func(t *testing.T, l launched)
		}{
			"limited": {[]string{"brief"}, func(*testing.T, launched) {}},
			"exited":  {nil, func(t *testing.T, l launched) { d.inside(t, l.ID, "kill -TERM 1") }},
			"stopped": {nil, func(t *testing.T, l launched) { must(t, d.stopJob(t, l.ID)) }},
		} {
			t.Run(user, func(t *testing.T) {
				t.Parallel()
				before := d.launchSaving(t, user, c.groups...)
				c.end(t, before)
				isInTurn(t, dir, user, before, d.launchSaving(t, user))
			})
		}
	})

	// A scaler that takes over frees it, also without Redis, and also when all that Redis had is
	// lost then.
	must(t, c.Redis.Kill())
	d.holder(t, "east", scalers...).End(t, syscall.SIGKILL)
	d.refusedProfile(t, "ann", second.ID)
	must(t, d.stopJob(t, second.ID))
	third := d.launchSaving(t, "ann")
	restart, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, c.Redis.Restart(restart))
	must(t, d.wipeRedis(t))
	d.refusedProfile(t, "ann", third.ID)
	isInTurn(t, dir, "ann", first, second, third)

	until(t, "the lease of a session that never was is freed", func() (bool, string) {
		holder, err := consul.ProfileHolder(t.Context(), stray.Path)
		return err == nil && holder.Session == "", fmt.Sprint(holder, err)
	})
	d.launchSaving(t, "stray")
}

// launchSaving launches a session of the image saving and waits for it.
func (d *devProcess) launchSaving(t *testing.T, user string, groups ...string) (l launched) {
	t.Helper()
	body := launch("saving", "east", user)
	if len(groups) > 0 {
		body["groups"] = groups
	}
	d.ask(t, "POST", "/v1/sessions?wait=1m", body, 201, &l)
	return l
}

// refusedProfile checks that a launch which does not wait is refused, and that the refusal
// names the session that has the profile.
func (d *devProcess) refusedProfile(t *testing.T, user, holder string) {
	t.Helper()
	var p struct {
		Code, Detail string
		Sessions     []string
	}
	d.ask(t, "POST", "/v1/sessions?wait=0s", launch("saving", "east", user), 409, &p)
	if p.Code != "profile_in_use" || !slices.Equal(p.Sessions, []string{holder}) || !strings.Contains(p.Detail, holder) || !strings.Contains(p.Detail, "end it") {
		t.Errorf("%+v; the profile is in use by %s", p, holder)
	}
}
