package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// level is what a setting that is not as wanted means.
type level string

const (
	// Warn: greenroom works, and something costs more or is less safe than it needs to be.
	Warn level = "warn"
	// Fail: greenroom does not work, or loses what it must not.
	Fail level = "fail"
	// OK is the status of a setting that is as wanted.
	OK level = "ok"
)

// row is one setting of a cluster. The rows are the source of the table in deploy/README.md, too.
type row struct {
	id string
	// where is whose setting it is, setting what is to be written, and why is what happens
	// otherwise: Markdown for deploy/README.md.
	where, setting, why string
	level               level
	// check returns what was found, and what is wrong with it; "" for nothing. An error says why
	// nothing is known.
	check func(facts) (found, wrong string, err error)
}

// The oldest versions that greenroom works with.
var (
	oldestNomad  = version{1, 9}
	oldestConsul = version{1, 18}
	oldestRedis  = version{6, 2}
)

const (
	wantedEvents      = 20000
	wantedGC          = time.Hour
	wantedConnections = 300
	wantedConsulConns = 200
	wantedValue       = 512 << 10
	// clockSlack is how far clocks may be apart: what is compared across machines is minutes, and
	// two of the servers tell whole seconds.
	clockSlack = 2 * time.Second
	// leastVoters is the fewest of which a majority is left when one is lost.
	leastVoters = 3
)

// rows are all settings, in the order of the document.
var rows = []row{
	{
		id: "nomad-version", where: "Nomad", setting: "version 1.9 or newer", level: Fail, why: "Older ones lack what greenroom calls. Tested with 1.10.5.",
		check: ofAgents(nomadFacts.all, func(a nomadAgent) (string, bool) { return a.version, versionOf(a.version).atLeast(oldestNomad) }),
	},
	{
		id: "consul-version", where: "Consul", setting: "version 1.18 or newer", level: Fail, why: "Older ones lack what greenroom calls. Tested with 1.19.2.",
		check: ofConsul(func(c consulFacts) (string, bool) { return c.version, versionOf(c.version).atLeast(oldestConsul) }),
	},
	{
		id: "redis-version", where: "Redis", setting: "version 6.2 or newer", level: Fail, why: "Its scripts and streams.",
		check: ofRedis(func(r redisFacts) (string, bool) { return r.version, versionOf(r.version).atLeast(oldestRedis) }),
	},
	{
		id: "nomad-events", where: "Nomad's servers", setting: "`server { event_buffer_size = 20000 }`", level: Warn,
		why: "With a smaller buffer, a scaler often has to read everything again when it reconnects.",
		check: ofAgents(nomadFacts.ofServers, func(a nomadAgent) (string, bool) {
			return strconv.Itoa(a.eventBuffer), a.eventBuffer >= wantedEvents
		}),
	},
	{
		id: "nomad-gc", where: "Nomad's servers", setting: "`server { job_gc_threshold = \"1h\" }`, and so `eval_gc_threshold` and `batch_eval_gc_threshold`", level: Warn,
		why: "With longer ones, a day of ended sessions piles up.",
		check: ofAgents(nomadFacts.ofServers, func(a nomadAgent) (string, bool) {
			found := fmt.Sprintf("job %s, eval %s, batch_eval %s", cmp.Or(a.jobGC, "4h"), cmp.Or(a.evalGC, "1h"), cmp.Or(a.batch, "24h"))
			return found, within(cmp.Or(a.jobGC, "4h")) && within(cmp.Or(a.evalGC, "1h")) && within(cmp.Or(a.batch, "24h"))
		}),
	},
	{
		id: "nomad-connections", where: "every Nomad agent", setting: "`limits { http_max_conns_per_client = 0 }`, or at least 300", level: Fail,
		why: "The default of 100 counts per source address, and each exec and each event stream holds a connection. A broker holds up to 32 for sessions that it makes (`--max-on-demand`), 32 for hooks (`--max-hooks`) and 24 for shells that wait for a hook (`--max-armed`).",
		check: ofAgents(nomadFacts.all, func(a nomadAgent) (string, bool) {
			return strconv.Itoa(a.connections), a.connections == 0 || a.connections >= wantedConnections
		}),
	},
	{
		id: "nomad-kill-timeout", where: "every node that runs sessions", setting: "`client { max_kill_timeout = … }`, at least the longest `kill_timeout` of the images", level: Warn,
		why:   "The node cuts a session's `kill_timeout` down to it, 30 s by default: a program that saves its user's work is killed in the middle.",
		check: killTimeouts,
	},
	{
		id: "broker-kill-timeout", where: "the brokers' job, and the nodes that run it", setting: "`kill_timeout`, and `client { max_kill_timeout = … }`, longer than `broker.drain_timeout` (150 s by default)", level: Warn,
		why:   "Nomad kills a broker before it has finished the launches that have claimed a session, and a scaler ends these. Under systemd, `TimeoutStopSec` must be longer.",
		check: drains,
	},
	{
		id: "nomad-consul", where: "every node that runs sessions", setting: "reaches Consul", level: Fail,
		why: "A session is ready when Consul says that its checks pass.",
		check: func(f facts) (string, string, error) {
			if f.nomad.err != nil || len(f.nomad.withoutConsul) == 0 {
				return "all do", "", f.nomad.err
			}
			return strings.Join(f.nomad.withoutConsul, ", ") + " do not", "start a Consul agent there, and name it in the Nomad client's block consul", nil
		},
	},
	{
		id: "nomad-acl", where: "Nomad", setting: "`acl { enabled = true }`", level: Warn,
		why:   "Without it, whoever reaches Nomad starts and ends sessions and reads what is in them.",
		check: ofAgents(nomadFacts.ofServers, func(a nomadAgent) (string, bool) { return onOff(a.acl), a.acl }),
	},
	{
		id: "nomad-rights", where: "the agents' token for Nomad", setting: "the rights of `acl/nomad-scaler.policy.hcl`", level: Fail,
		why: "What a token may not see, a scaler leaves alone.",
		check: func(f facts) (string, string, error) {
			return rights(f.nomad.denied), complaint(len(f.nomad.denied) == 0, "attach the policy to the job or the token (step 2)"), f.nomad.err
		},
	},
	{
		id: "consul-connections", where: "every Consul agent", setting: "`limits { http_max_conns_per_client = 200 }`, which is the default, or more", level: Fail,
		why: "Each pool that a scaler watches holds a connection.",
		check: ofConsul(func(c consulFacts) (string, bool) {
			return strconv.Itoa(c.connections), c.connections == 0 || c.connections >= wantedConsulConns
		}),
	},
	{
		id: "consul-values", where: "Consul's servers", setting: "`limits { kv_max_value_size = 524288 }` and `txn_max_req_len`, which are the defaults, or more", level: Fail,
		why: "Images are stored there with their jobspecs, and launches that come together share a transaction.",
		check: ofConsul(func(c consulFacts) (string, bool) {
			return fmt.Sprintf("%d and %d", c.maxValue, c.maxTransaction), c.maxValue >= wantedValue && c.maxTransaction >= wantedValue
		}),
	},
	{
		id: "consul-log", where: "Consul's servers", setting: "`raft_logstore { backend = \"wal\" }`", level: Warn,
		why: "A launch makes one write, and two with an assign hook. With the write-ahead log each took 0.35 ms, and 0.5 ms without it.",
		check: func(f facts) (string, string, error) {
			if f.consul.err == nil && !f.consul.server {
				return "", "", hiddenError{errors.New("the Consul agent that was asked is no server, and does not know; ask one with --consul-address")}
			}
			return ofConsul(func(c consulFacts) (string, bool) { return cmp.Or(c.logStore, "not set"), c.logStore == "wal" })(f)
		},
	},
	{
		id: "consul-acl", where: "Consul", setting: "`acl { enabled = true  default_policy = \"deny\" }`", level: Warn,
		why: "Otherwise anybody reads the hashes of tokens and the keys that sign logins, and changes whose a session is. A broker that requires a token of its callers does not start then.",
		check: ofConsul(func(c consulFacts) (string, bool) {
			return fmt.Sprintf("%s, default policy %s", onOff(c.acl), cmp.Or(c.defaultPolicy, "allow")), c.acl && c.defaultPolicy == "deny"
		}),
	},
	{
		id: "consul-rights", where: "the agents' token for Consul", setting: "the rights of `acl/consul-scaler.policy.hcl`", level: Fail,
		why: "A scaler that cannot write fate records or locks does nothing.",
		check: func(f facts) (string, string, error) {
			return rights(f.consul.denied), complaint(len(f.consul.denied) == 0, "give the token the policy (step 3)"), cmp.Or(f.consul.err, f.consul.deniedErr)
		},
	},
	{
		id: "consul-identity", where: "the agents' token for Consul", setting: "that of the job's identity, by an auth method (step 3)", level: Warn,
		why: "A token that you make yourself works until you delete it, wherever it gets to.",
		check: func(f facts) (string, string, error) {
			found, identity := f.consul.tokenOf()
			return found, complaint(identity, "let the jobs log in with their identity (step 3)"), cmp.Or(f.consul.err, f.consul.tokenErr)
		},
	},
	{
		id: "redis-eviction", where: "Redis", setting: "`maxmemory-policy noeviction`", level: Fail,
		why:   "greenroom rebuilds all of Redis, and cannot detect that a part was evicted.",
		check: ofRedis(func(r redisFacts) (string, bool) { return r.eviction, r.eviction == "noeviction" }),
	},
	{
		id: "redis-persistence", where: "Redis", setting: "`appendonly yes`", level: Warn,
		why:   "Without it a restart loses the sessions' index and the recent events, and all of it is rebuilt while launches go by Consul.",
		check: ofRedis(func(r redisFacts) (string, bool) { return "appendonly " + yesNo(r.appendOnly), r.appendOnly }),
	},
	{
		id: "redis-password", where: "Redis", setting: "`requirepass`, or users", level: Warn,
		why: "Whoever reaches Redis reads the tokens of sessions otherwise.",
		check: ofRedis(func(r redisFacts) (string, bool) {
			return map[bool]string{true: "answers anybody", false: "asks for it"}[r.open], !r.open
		}),
	},
	{
		id: "redis-replicas", where: "Redis with replicas", setting: "`min-replicas-to-write 1`", level: Warn,
		why: "A primary that is cut off goes on taking writes otherwise, and the replica that takes over lacks them.",
		check: ofRedis(func(r redisFacts) (string, bool) {
			return fmt.Sprintf("%d replicas, writes without them %s", r.replicas, map[bool]string{true: "refused", false: "taken"}[r.refusesAlone]), r.replicas == 0 || r.refusesAlone
		}),
	},
	{
		id: "redis-failover", where: "Redis with replicas", setting: "three Sentinels, or a Redis Cluster of three primaries, with replicas", level: Warn,
		why: "Fewer cannot agree that a primary is lost, and without a replica nothing takes over.",
		check: func(f facts) (string, string, error) {
			if err := cmp.Or(f.redis.err, f.redis.failoverErr); err != nil {
				return "", "", err
			}
			return f.redis.failover, complaint(f.redis.takesOver, "see deploy/README.md, No single point"), nil
		},
	},
	{
		id: "clocks", where: "all machines", setting: "clocks within 2 s of one another (NTP)", level: Warn,
		why:   "Schedules, expirations and idle times are compared across machines.",
		check: clocks,
	},
}

// tokenOf says where the token is from, and whether no better one is known.
func (c consulFacts) tokenOf() (found string, identity bool) {
	switch {
	case !c.acl:
		return "none is needed", true
	case c.authMethod == "":
		return "one that somebody made", false
	}
	return "by the auth method " + c.authMethod, true
}

// all returns all agents that told their settings.
func (n nomadFacts) all() []nomadAgent { return slices.Concat(n.servers, n.clients) }

func (n nomadFacts) ofServers() []nomadAgent { return n.servers }

// ofAgents checks each of some agents. Those that differ from what is wanted are named.
func ofAgents(which func(nomadFacts) []nomadAgent, good func(nomadAgent) (string, bool)) func(facts) (string, string, error) {
	return func(f facts) (string, string, error) {
		if f.nomad.err != nil {
			return "", "", f.nomad.err
		}
		agents := which(f.nomad)
		if len(agents) == 0 {
			return "", "", hiddenError{fmt.Errorf("no agent told its settings: %s", strings.Join(f.nomad.missing, "; "))}
		}
		var bad, fine []string
		for _, a := range agents {
			found, ok := good(a)
			if !ok {
				bad = append(bad, found+" on "+a.name)
			} else if !slices.Contains(fine, found) {
				fine = append(fine, found)
			}
		}
		if len(bad) > 0 {
			return strings.Join(bad, ", "), "set it there, and restart the agent", nil
		}
		return strings.Join(fine, ", ") + unread(f.nomad.missing), "", nil
	}
}

// unread says how many agents did not tell their settings.
func unread(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf(" (not read: %s)", strings.Join(missing, "; "))
}

func ofConsul(good func(consulFacts) (string, bool)) func(facts) (string, string, error) {
	return func(f facts) (string, string, error) {
		if f.consul.err != nil {
			return "", "", f.consul.err
		}
		found, ok := good(f.consul)
		return found, complaint(ok, "set it, and restart the agent"), nil
	}
}

func ofRedis(good func(redisFacts) (string, bool)) func(facts) (string, string, error) {
	return func(f facts) (string, string, error) {
		if f.redis.err != nil {
			return "", "", f.redis.err
		}
		found, ok := good(f.redis)
		return found, complaint(ok, "set it with CONFIG SET, and in Redis's configuration file"), nil
	}
}

func complaint(ok bool, advice string) string {
	if ok {
		return ""
	}
	return advice
}

func killTimeouts(f facts) (string, string, error) {
	if err := cmp.Or(f.nomad.err, f.imagesErr); err != nil {
		return "", "", err
	}
	if f.killTimeout == 0 {
		return "no image sets a kill_timeout", "", nil
	}
	var short []string
	for _, a := range f.nomad.clients {
		if most, err := time.ParseDuration(a.maxKillTimeout); err == nil && most < f.killTimeout {
			short = append(short, a.maxKillTimeout+" on "+a.name)
		}
	}
	if len(short) == 0 {
		return fmt.Sprintf("at least the %s of image %s", f.killTimeout, f.killImage) + unread(f.nomad.missing), "", nil
	}
	return strings.Join(short, ", "), fmt.Sprintf("image %s has a kill_timeout of %s: set that on the nodes, or shorten it", f.killImage, f.killTimeout), nil
}

// drains finds the brokers that Nomad kills while they finish their launches.
func drains(f facts) (string, string, error) {
	if err := cmp.Or(f.nomad.err, f.nomad.brokersErr); err != nil {
		return "", "", err
	}
	most := map[string]time.Duration{}
	for _, a := range f.nomad.clients {
		if d, err := time.ParseDuration(a.maxKillTimeout); err == nil {
			most[a.name] = d
		}
	}
	var short, fine []string
	for _, b := range f.nomad.brokers {
		before := len(short)
		if b.kill <= b.drain {
			short = append(short, fmt.Sprintf("job %s kills its broker after %s, which drains for up to %s", b.job, b.kill, b.drain))
		}
		for _, node := range b.nodes {
			if d, known := most[node]; known && d <= b.drain && d < b.kill {
				short = append(short, fmt.Sprintf("node %s kills the broker of job %s after %s, which drains for up to %s", node, b.job, d, b.drain))
			}
		}
		if before == len(short) {
			fine = append(fine, fmt.Sprintf("job %s waits for more than %s", b.job, b.drain))
		}
	}
	switch {
	case len(short) > 0:
		return strings.Join(short, ", "), "set kill_timeout in the job, and max_kill_timeout on its nodes, to 180s, or to more than the broker's --drain-timeout", nil
	case len(fine) == 0:
		return "no job of Nomad runs a broker", "", nil
	}
	return strings.Join(fine, ", ") + unread(f.nomad.missing), "", nil
}

func clocks(f facts) (string, string, error) {
	if len(f.clocks) == 0 {
		return "", "", errors.New("no server told its time")
	}
	var found, off []string
	for _, server := range slices.Sorted(maps.Keys(f.clocks)) {
		d := f.clocks[server]
		found = append(found, fmt.Sprintf("%s %+.1f s", server, d.Seconds()))
		if d.Abs() > clockSlack {
			off = append(off, server)
		}
	}
	if len(off) > 0 {
		return strings.Join(found, ", "), "let NTP set the clocks of this machine and of " + strings.Join(off, ", "), nil
	}
	return strings.Join(found, ", "), "", nil
}

func rights(denied []string) string {
	if len(denied) == 0 {
		return "all that can be tried without changing anything"
	}
	return "may not " + strings.Join(denied, ", ")
}

// within reports whether a duration is no longer than wanted.
func within(text string) bool {
	d, err := time.ParseDuration(text)
	return err == nil && d <= wantedGC
}

func onOff(on bool) string  { return map[bool]string{true: "on", false: "off"}[on] }
func yesNo(yes bool) string { return map[bool]string{true: "yes", false: "no"}[yes] }
