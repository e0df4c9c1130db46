// Package redisgroup runs several Redis servers for a test: a primary with replicas that
// Sentinels watch, or a Redis Cluster. Each is a real process on loopback, which the test may
// kill or stop, and is gone when the test has ended.
package redisgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// patience limits how long a start, or a change of roles, is waited for.
const patience = 2 * time.Minute

// Server is one process of redis-server: a Redis, or a Sentinel.
type Server struct {
	*devtest.Process
	// Address is host:port.
	Address string
	admin   Login
}

// Login is an ACL user with its password. The zero one is the default user.
type Login struct{ User, Password string }

// Access is the ACL file of a group's servers, and who logs in with what. With the zero one
// everybody may do everything.
type Access struct {
	File                     string
	Replica, Sentinel, Admin Login
}

// args are the arguments of a server with these users: it follows others as the replicas' user.
func (a Access) args() []string {
	if a.File == "" {
		return nil
	}
	return []string{"--aclfile", a.File, "--masteruser", a.Replica.User, "--masterauth", a.Replica.Password}
}

// start runs a redis-server with arguments until the test ends. It returns once it answers.
func start(t testing.TB, name, dir string, port int, admin Login, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redisgroup: %v; install it, for example with: apt-get install redis-server", err)
	}
	s := &Server{Process: devtest.StartProcess(t, name, dir, path, args...), Address: fmt.Sprintf("127.0.0.1:%d", port), admin: admin}
	until(t, name+" answers", func(ctx context.Context) error { return s.Client(t).Ping(ctx).Err() })
	return s
}

// Client returns a client of this server alone, which may do everything.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: s.Address, Username: s.admin.User, Password: s.admin.Password, ContextTimeoutEnabled: true, MaxRetries: -1,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// until waits for a condition.
func until(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("redisgroup: %s: not within %s: %v", what, patience, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// redisArgs are the arguments of a Redis that keeps its data in dir.
func redisArgs(dir string, port int, more ...string) []string {
	return append([]string{
		"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", dir, "--appendonly", "yes", "--save", "",
		// A replica that comes new gets the data at once.
		"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
	}, more...)
}

// serverDir makes the directory of a server.
func serverDir(t testing.TB, parent, name string) string {
	t.Helper()
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// addresses joins the addresses of servers with commas, as --redis-address takes them.
func addresses(servers []*Server) string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Address
	}
	return strings.Join(all, ",")
}
