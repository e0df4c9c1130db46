package nomadfleet_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// appForHooks is app with a Docker image that has what hooks need: a user to switch to,
// and a few programs.
func appForHooks(t *testing.T, driver string) staging.Image {
	t.Helper()
	image := app(t, driver)
	if driver == "docker" {
		demo, err := devcluster.BuildDemoImage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		image.Jobspec = strings.Replace(image.Jobspec, testImage, demo, 1)
	}
	return image
}

// TestOnceThroughNomad: of eight concurrent runs one executes the command, and all
// return its outcome.
func TestOnceThroughNomad(t *testing.T) {
	r := newRig(t)
	for _, driver := range []string{"raw_exec", "docker"} {
		for what, code := range map[string]int{"success": 0, "failure": 9} {
			t.Run(driver+"/"+what, func(t *testing.T) {
				s := r.startForExec(t, appForHooks(t, driver), nil)
				h := staging.Hook{Cmd: []string{"/bin/sh", "-c", fmt.Sprintf(`echo ran >> "$NOMAD_TASK_DIR/runs"; sleep 1; echo no desktop >&2; exit %d`, code)}}
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						result, err := devtest.Answered(func() (hook.Result, error) {
							return hook.Runner{Exec: r}.Run(testContext(t), s, staging.HookFirstLaunch, h, hook.Input{Once: true})
						})
						var failed *hook.FailedError
						switch {
						case code == 0 && err != nil:
							t.Error(err)
						// The docker driver may cut off the end of the output.
						case code != 0 && (!errors.As(err, &failed) || failed.ExitCode != code || driver != "docker" && failed.LastLine != "no desktop"):
							t.Errorf("%+v, %v", result, err)
						}
					})
				}
				wg.Wait()
				if got := r.shell(t, s, `cat "$NOMAD_TASK_DIR/runs"`); got != "ran\n" {
					t.Errorf("it ran %q", got)
				}
			})
		}
	}
}

// TestAHooksUserThroughNomad switches users on the node and in a container, which has
// only busybox's su.
func TestAHooksUserThroughNomad(t *testing.T) {
	r := newRig(t)
	name := "o'brien \"x\" $(id) `id`\n}\nexit 9\n\U0001F600"
	for driver, user := range map[string]string{"raw_exec": "nobody", "docker": "demo"} {
		t.Run(driver, func(t *testing.T) {
			s := r.startForExec(t, appForHooks(t, driver), nil)
			h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf '%s|%s|%s' "$(id -un)" "$1" "$GREENROOM_USER_NAME"`, "sh", "{username}"}, User: user}
			in := hook.Input{
				Variables: map[string]string{"GREENROOM_USER_NAME": name},
				Tokens:    map[staging.Token]string{staging.TokenUsername: name},
			}
			// The docker driver may cut off the end of the output, so repeat it.
			eventually(t, "the hook's output is complete", func() bool {
				result, err := hook.Runner{Exec: r}.Run(testContext(t), s, staging.HookAssign, h, in)
				if err != nil {
					t.Fatal(err)
				}
				want := user + "|" + name + "|" + name
				if !strings.HasPrefix(want, result.Stdout) {
					t.Fatalf("%q, want %q", result.Stdout, want)
				}
				return result.Stdout == want
			})
			h.User = "nobody-here"
			_, err := hook.Runner{Exec: r}.Run(testContext(t), s, staging.HookAssign, h, in)
			var failed *hook.FailedError
			if !errors.As(err, &failed) || failed.ExitCode != hook.ExitUser {
				t.Errorf("a user who is not there: %v", err)
			}
		})
	}
}
