package hook_test

import (
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatAHookPrintsOfItsEnvironmentIsHidden checks the output and the error.
func TestWhatAHookPrintsOfItsEnvironmentIsHidden(t *testing.T) {
	r := hook.Runner{Exec: execFunc(local)}
	h := staging.Hook{
		Cmd:         []string{"/bin/sh", "-c", `echo "key $KEY of $GREENROOM_USER_NAME"; echo "no door for $KEY-$GIVEN, level $LEVEL" >&2; exit 3`},
		Environment: map[string]string{"KEY": "s3cret-{user_id}", "LEVEL": "2"},
	}
	in := hook.Input{
		Variables: map[string]string{"GIVEN": "given-secret", "GREENROOM_USER_NAME": "alice-the-user"},
		Tokens:    map[staging.Token]string{staging.TokenUserID: "u-1"},
	}
	result, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, h, in)
	if err == nil || result.Stdout != "key (hidden) of alice-the-user\n" || result.Stderr != "no door for (hidden)-(hidden), level 2\n" {
		t.Errorf("%+v, %v", result, err)
	}
	if !strings.Contains(err.Error(), "no door for (hidden)-(hidden)") {
		t.Errorf("the error: %v", err)
	}
	// The launch's URL may be signed.
	h.Cmd = []string{"/bin/sh", "-c", `echo "cannot open $GREENROOM_URL for $GREENROOM_USER_NAME" >&2; exit 3`}
	in.Variables["GREENROOM_URL"] = "https://example.org/?signature=s3cret"
	if result, _ = r.Run(t.Context(), staging.Session{}, staging.HookAssign, h, in); result.Stderr != "cannot open (hidden) for alice-the-user\n" {
		t.Errorf("the URL was not hidden: %q", result.Stderr)
	}
	// Only the end of a long output is kept, and it begins within the value.
	h.Environment = map[string]string{"KEY": "0123456789abcdef"}
	h.Cmd = []string{"/bin/sh", "-c", `printf %s "$KEY"; head -c 4086 /dev/zero | tr '\0' x; exit 3`}
	result, _ = r.Run(t.Context(), staging.Session{}, staging.HookAssign, h, hook.Input{})
	if !strings.HasPrefix(result.Stdout, "(hidden)xx") {
		t.Errorf("the end begins with %.20q", result.Stdout)
	}
}
