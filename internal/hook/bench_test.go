package hook_test

import (
	"testing"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// BenchmarkScript builds the script of an assign hook with tokens and an environment, as
// every staged launch of an image with such a hook does: as the task's user, as another
// user, and once-only.
func BenchmarkScript(b *testing.B) {
	plain := staging.Hook{
		Cmd: []string{"/usr/bin/assign", "--user", "{username}", "--url={url}"}, Workdir: "/home/session",
		Environment: map[string]string{"DISPLAY": ":0", "WHO": "{user_id}"},
	}
	in := hook.Input{
		Variables: staging.Launch{Image: "desktop", Zone: "east", User: staging.User{ID: "u-4711", Name: "Ada O'Brien"}, URL: "https://example.org/"}.Variables("gr-1"),
		Tokens: map[staging.Token]string{
			staging.TokenUsername: "Ada O'Brien", staging.TokenUserID: "u-4711", staging.TokenURL: "https://example.org/",
		},
	}
	as, once := plain, in
	as.User, once.Once = "1000:1000", true
	for name, c := range map[string]struct {
		hook staging.Hook
		in   hook.Input
	}{"plain": {plain, in}, "as a user": {as, in}, "once": {plain, once}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := hook.Script(staging.HookAssign, c.hook, c.in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
