package deploy_test

import (
	"context"
	"fmt"
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

func anys(words []string) []any {
	all := make([]any, len(words))
	for i, w := range words {
		all[i] = w
	}
	return all
}
