package deploy_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// refusals are how a call of a user fails who lacks a right: by itself, in a script, in a
// transaction, and in one whose watch could not be ended.
var refusals = []string{"NOPERM", "can't run this command", "EXECABORT", redis.TxFailedErr.Error()}

// redisUsers returns the rules of each user of acl/redis.acl, without the password.
func redisUsers(t *testing.T) map[string][]string {
	t.Helper()
	users := map[string][]string{}
	for line := range strings.Lines(read(t, "acl/redis.acl")) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "user" {
			t.Fatalf("acl/redis.acl has the line %q", line)
		}
		users[words[1]] = slices.DeleteFunc(words[2:], func(w string) bool { return strings.HasPrefix(w, ">") })
	}
	return users
}

// TestEveryRuleOfRedisIsNeeded: a user with the rules of acl/redis.acl does everything that its agent
// does in Redis, and nothing without any one of them. What is not greenroom's it cannot reach.
func TestEveryRuleOfRedisIsNeeded(t *testing.T) {
	addr := devtest.Redis(t)
	admin := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { admin.Close() })
	if err := admin.Set(patient(t), "elsewhere:key", "not greenroom's", 0).Err(); err != nil {
		t.Fatal(err)
	}
	users := redisUsers(t)
	if rules := users["default"]; !slices.Equal(rules, []string{"off"}) {
		t.Errorf("whoever has no user may: %s", rules)
	}
	runs := 0
	// works runs the steps of an agent as a user with rules, and returns the first that fails.
	works := func(t *testing.T, rules []string, steps func(*redisWorld) []redisStep) (step string, err error) {
		t.Helper()
		runs++
		const name = "probe"
		if err := admin.Do(patient(t), append([]any{"ACL", "SETUSER", name, "reset", "nopass"}, anys(rules)...)...).Err(); err != nil {
			t.Fatalf("%s: %v", rules, err)
		}
		// Its connections end with the user.
		defer admin.Do(context.WithoutCancel(patient(t)), "ACL", "DELUSER", name)
		client := redis.NewClient(&redis.Options{Addr: addr, Username: name, Password: "x", MaxRetries: -1})
		defer client.Close()
		prefix := redisstore.Options{Prefix: fmt.Sprintf("greenroom:rules-%d:", runs)}
		w := &redisWorld{t: t, agent: redisstore.New(client, prefix), others: redisstore.New(admin, prefix)}
		w.info = func(ctx context.Context) error { return client.Info(ctx).Err() }
		w.spoil = func(ctx context.Context, id string) error {
			return admin.HSet(ctx, prefix.Prefix+"session:"+id, "state", "junk").Err()
		}
		w.must(w.others.PlaceMarker(patient(t), zone.Name, "m"))
		if _, err := w.others.RenewTrust(patient(t), zone.Name, staging.TrustRenewal{Before: "m", Marker: "m"}); err != nil {
			t.Fatal(err)
		}
		// Scripts are cached by the server, for all users.
		if err := admin.ScriptFlush(patient(t)).Err(); err != nil {
			t.Fatal(err)
		}
		for _, s := range steps(w) {
			if err := s.do(patient(t)); err != nil {
				return s.name, err
			}
		}
		return "", nil
	}
	for _, agent := range []struct {
		name  string
		steps func(*redisWorld) []redisStep
	}{
		{"broker", (*redisWorld).ofBroker}, {"scaler", (*redisWorld).ofScaler}, {"gateway", (*redisWorld).ofGateway},
	} {
		t.Run(agent.name, func(t *testing.T) {
			rules := users["greenroom-"+agent.name]
			if step, err := works(t, rules, agent.steps); err != nil {
				t.Fatalf("with all rules, it cannot %s: %v", step, err)
			}
			for i, rule := range rules {
				if rule == "on" || strings.HasPrefix(rule, "reset") || strings.HasPrefix(rule, "-@") {
					continue
				}
				step, err := works(t, slices.Delete(slices.Clone(rules), i, i+1), agent.steps)
				if err == nil {
					t.Errorf("%s: it can go, since everything works without", rule)
				} else if !slices.ContainsFunc(refusals, func(r string) bool { return strings.Contains(err.Error(), r) }) {
					t.Errorf("without %s it cannot %s, for another reason: %v", rule, step, err)
				}
				t.Logf("without %s it cannot %s", rule, step)
			}
		})
	}
}

// ofServers are the commands by which the servers of a Redis with replicas call one another, by the
// rule that lets them. A Sentinel's are those that Redis' documentation lists for its user.
var ofServers = map[string]map[string]string{
	"greenroom-replica": {"+ping": "PING", "+psync": "PSYNC ? -1", "+replconf": "REPLCONF ACK 0"},
	"greenroom-sentinel": {
		"+client|kill": "CLIENT KILL TYPE normal", "+client|setname": "CLIENT SETNAME sentinel", "+config|rewrite": "CONFIG REWRITE",
		"+exec": "EXEC", "+info": "INFO", "+multi": "MULTI", "+ping": "PING", "+publish": "PUBLISH __sentinel__:hello hello",
		"+role": "ROLE", "+script|kill": "SCRIPT KILL", "+slaveof": "SLAVEOF NO ONE", "+subscribe": "SUBSCRIBE __sentinel__:hello",
	},
}

// TestTheUsersOfRedisServersMayDoThatAlone: the users of replicas and Sentinels may do what these do,
// which deploy/failover sees them do, and nothing else; only admin may do everything.
func TestTheUsersOfRedisServersMayDoThatAlone(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: devtest.Redis(t)})
	t.Cleanup(func() { c.Close() })
	users := redisUsers(t)
	want := []string{"admin", "default", "greenroom-broker", "greenroom-gateway", "greenroom-replica", "greenroom-scaler", "greenroom-sentinel"}
	if names := slices.Sorted(maps.Keys(users)); !slices.Equal(names, want) {
		t.Errorf("acl/redis.acl has the users %s", names)
	}
	may := func(user, command string) bool {
		said, err := c.Do(patient(t), anys(append([]string{"ACL", "DRYRUN", user}, strings.Fields(command)...))...).Text()
		if err != nil {
			t.Fatalf("%s: %s: %v", user, command, err)
		}
		return said == "OK"
	}
	for user, commands := range ofServers {
		if err := c.Do(patient(t), append([]any{"ACL", "SETUSER", user, "reset"}, anys(users[user])...)...).Err(); err != nil {
			t.Fatal(err)
		}
		for _, rule := range users[user] {
			if strings.HasPrefix(rule, "+") && commands[rule] == "" {
				t.Errorf("%s has the rule %s, which it does not need", user, rule)
			}
		}
		for rule, command := range commands {
			if !may(user, command) {
				t.Errorf("%s lacks %s", user, rule)
			}
		}
		for _, command := range []string{"GET greenroom:x", "FLUSHALL", "CONFIG GET requirepass", "ACL LIST", "KEYS *"} {
			if may(user, command) {
				t.Errorf("%s may %s", user, command)
			}
		}
	}
	if rules := users["admin"]; !slices.Equal(rules, []string{"on", "~*", "&*", "+@all"}) {
		t.Errorf("admin may: %s", rules)
	}
}

func anys(words []string) []any {
	all := make([]any, len(words))
	for i, w := range words {
		all[i] = w
	}
	return all
}
