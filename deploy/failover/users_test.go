package failover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster/redisgroup"
)

// usersOfRedis returns the users of acl/redis.acl, whose passwords are what stands in their place
// there, after edits, such as those that a Redis Cluster needs: pairs of old and new texts.
func usersOfRedis(t *testing.T, edits ...string) redisgroup.Access {
	t.Helper()
	text, err := os.ReadFile("../acl/redis.acl")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "redis.acl")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(edits...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return redisgroup.Access{
		File:     file,
		Replica:  redisgroup.Login{User: "greenroom-replica", Password: "REPLICA_PASSWORD"},
		Sentinel: redisgroup.Login{User: "greenroom-sentinel", Password: "SENTINEL_PASSWORD"},
		Admin:    redisgroup.Login{User: "admin", Password: "ADMIN_PASSWORD"},
	}
}

// login returns the flags by which an agent of a kind is its user of acl/redis.acl.
func login(t *testing.T, kind string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), kind+".password")
	if err := os.WriteFile(file, []byte(strings.ToUpper(kind)+"_PASSWORD"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--redis-user", "greenroom-" + kind, "--redis-password-file", file}
}
