package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/access"
)

// TestTokensOfTheCommandLine: create with a scope and an end, list, and rotate.
func TestTokensOfTheCommandLine(t *testing.T) {
	c := clitest.New(t, "")
	out := c.Want(exit.OK, []string{
		"token", "create", "--name", "acme", "--role", "launcher", "--image", "office", "--image", "demo", "--zone", "east",
		"--group", "staff", "--user-prefix", "acme-", "--expires-in", "24h",
	}, "role launcher", "reaches images office, demo; zones east; groups staff; users acme-*", "works until 2", "is not shown again")
	if len(c.Broker.Tokens) != 1 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "grt_") {
		t.Fatalf("%+v, printed %q", c.Broker.Tokens, out)
	}
	c.Want(exit.OK, []string{"token", "create", "--name", "all", "--role", "viewer", "--expires", "1h"}, "reaches everything")
	made := &c.Broker.Tokens[0]
	if made.Scope.String() != "images office, demo; zones east; groups staff; users acme-*" || made.ExpiresAt.Sub(made.CreatedAt) != 24*time.Hour {
		t.Errorf("%+v", made)
	}
	c.Want(exit.OK, []string{"token", "list"}, "SCOPE", "LAST USED", "images office, demo; zones east", "everything", "never")
	made.LastUsed = time.Now().Add(-3 * time.Minute)
	c.Want(exit.OK, []string{"token", "list"}, "3m")

	first := c.Want(exit.OK, []string{"token", "rotate", made.Accessor}, "the old secret works until 2", "is not shown again")
	if access.Hash(strings.TrimSpace(first)) != made.Hash || len(made.Previous) != 1 {
		t.Errorf("rotated to %q: %+v", first, made)
	}
	c.Want(exit.OK, []string{"token", "list"}, "ROTATED", "(old secret until 2")
	var shown struct{ Accessor, Secret string }
	clitest.Decode(t, c.Want(exit.OK, []string{"token", "rotate", made.Accessor, "--overlap", "0s", "-o", "json"}), &shown)
	if access.Hash(shown.Secret) != made.Hash || len(made.Previous) != 0 {
		t.Errorf("rotated without overlap to %+v: %+v", shown, made)
	}
	c.Want(exit.NotFound, []string{"token", "rotate", "tk-none"}, "tk-none")
	// By its name, if that says which.
	c.Want(exit.OK, []string{"token", "rotate", "acme"}, "token "+made.Accessor)
	c.Want(exit.NotFound, []string{"token", "revoke", "nobody"}, "nobody")
	c.Want(exit.OK, []string{"token", "create", "--name", "twice", "--role", "viewer"})
	c.Want(exit.OK, []string{"token", "create", "--name", "twice", "--role", "viewer"})
	c.Want(exit.Usage, []string{"token", "revoke", "twice"}, "several tokens have the name", "tk-")
	for flags, named := range map[string]string{
		"create --name n --role viewer --expires-in soon":       "--expires-in",
		"create --name n --role viewer --image A":               "scope.images[0]",
		"create --name n --role viewer --zone east --zone east": "scope.zones[1]",
		"rotate tk-1 --overlap 200h":                            "--overlap",
		"rotate tk-1 --overlap -1s":                             "--overlap",
		"rotate":                                                "accessor",
	} {
		c.Want(exit.Usage, append([]string{"token"}, strings.Fields(flags)...), named)
	}
}

// TestTokensAreRevoked: several at once, and the last administrator's once that is confirmed.
func TestTokensAreRevoked(t *testing.T) {
	c := clitest.New(t, "")
	for name, role := range map[string]string{"root": "admin", "deputy": "admin", "portal": "launcher", "wall": "viewer"} {
		c.Want(exit.OK, []string{"token", "create", "--name", name, "--role", role})
	}
	c.Want(exit.OK, []string{"token", "create", "--name", "acme", "--role", "admin", "--zone", "east"})
	c.Want(exit.NotFound, []string{"token", "revoke", "portal", "nobody"}, "nobody")
	if n := len(c.Broker.Tokens); n != 5 {
		t.Errorf("%d tokens are left", n)
	}
	c.Want(exit.OK, []string{"token", "revoke", "portal", "deputy"}, "is revoked")
	c.Stdin = "no\n"
	c.Want(exit.Declined, []string{"token", "revoke", "wall", "root"}, "No administrator's token", "not confirmed")
	if n := len(c.Broker.Tokens); n != 3 {
		t.Errorf("%d tokens are left", n)
	}
	c.Want(exit.OK, []string{"token", "revoke", "wall"})
	c.Want(exit.OK, []string{"token", "revoke", "root", "--yes"})
	c.Want(exit.OK, []string{"token", "revoke", "acme"})
	if n := len(c.Broker.Tokens); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
	c.Want(exit.Usage, []string{"token", "revoke"}, "accessor")
}
