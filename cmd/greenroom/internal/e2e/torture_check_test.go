package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// check compares the callers' histories and the sessions' own log with what greenroom
// promises, and returns every violation.
func (h *history) check(t *testing.T, log string, faults []fault) (problems []string) {
	t.Helper()
	find := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	served := servedLog(t, log)
	for session, users := range served {
		if len(users) > 1 {
			find("session %s served %v", session, users)
		}
	}
	byKey := map[string]op{}
	for _, o := range h.ops {
		// A session without a hook does not know its user.
		knows := o.image == "torture" || o.origin == "on_demand"
		if knows && !slices.Contains(served[o.session], "u-"+o.user) {
			find("session %s was assigned to %s, and it served %v", o.session, o.user, served[o.session])
		}
		if before, ok := byKey[o.key]; ok && before.session != o.session && !forgot(faults, before.called, o.returned) {
			find("key %s gave sessions %s and %s", o.key, before.session, o.session)
		}
		byKey[o.key] = o
	}
	if !linearizable(h.ops) {
		find("the callers' histories are not those of sessions that are taken once")
	}
	return append(problems, h.problems...)
}

// servedLog reads from the sessions' own log the users of each session, each user once.
func servedLog(t *testing.T, path string) map[string][]string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	all := map[string][]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var s served
		must(t, json.Unmarshal(lines.Bytes(), &s))
		if (s.Via == "hook" || s.Via == "environment") && !slices.Contains(all[s.Session], s.UserID) {
			all[s.Session] = append(all[s.Session], s.UserID)
		}
	}
	must(t, lines.Err())
	return all
}

// linearizable reports whether the operations fit a register for each session, which one
// user takes once, and which returns the same to every repeat of that user's launch.
func linearizable(ops []op) bool {
	users := map[string]int{}
	client := func(user string) int {
		if _, ok := users[user]; !ok {
			users[user] = len(users)
		}
		return users[user]
	}
	var history []porcupine.Operation
	for _, o := range ops {
		history = append(history, porcupine.Operation{
			ClientId: client(o.user), Input: o, Output: true, Call: o.called.UnixNano(), Return: o.returned.UnixNano(),
		})
	}
	return porcupine.CheckOperations(porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			parts := map[string][]porcupine.Operation{}
			for _, o := range all {
				id := o.Input.(op).session
				parts[id] = append(parts[id], o)
			}
			return slices.Collect(maps.Values(parts))
		},
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			user := input.(op).user
			return state == "" || state == user, user
		},
	}, history)
}

// noOrphans waits until Nomad and Redis have the same sessions, and no fate and no key is
// of a session that neither has.
func (a *arena) noOrphans(t *testing.T) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: a.d.Redis})
	defer rdb.Close()
	until(t, "Nomad and Redis know the same sessions", func() (bool, string) {
		var running []string
		for _, image := range []string{"torture", "bare"} {
			for _, j := range a.d.jobs(t, image) {
				running = append(running, j.id)
			}
		}
		known, err := rdb.ZRange(t.Context(), "greenroom:sessions", 0, -1).Result()
		must(t, err)
		slices.Sort(running)
		slices.Sort(known)
		return slices.Equal(running, known), fmt.Sprintf("Nomad runs %v, Redis knows %v", running, known)
	})
	kv, nomad := a.d.consul(t).KV(), a.d.nomad(t)
	until(t, "every fate is of a session that Nomad still has", func() (bool, string) {
		keys, _, err := kv.Keys("greenroom/fates/", "", nil)
		must(t, err)
		jobs, _, err := nomad.Jobs().PrefixList(staging.SessionPrefix)
		must(t, err)
		has := map[string]bool{}
		for _, j := range jobs {
			has[j.ID] = true
		}
		orphans := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return has[strings.TrimPrefix(k, "greenroom/fates/")] })
		bound, _, err := kv.List("greenroom/keys/", nil)
		must(t, err)
		for _, pair := range bound {
			var hold staging.KeyHold
			must(t, json.Unmarshal(pair.Value, &hold))
			if !slices.Contains(keys, "greenroom/fates/"+hold.Session) {
				orphans = append(orphans, pair.Key)
			}
		}
		return len(orphans) == 0, fmt.Sprint(orphans)
	})
}
