package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Options configure a store. A zero value means the default that is named here.
type Options struct {
	// Prefix is the prefix of every key. Default "greenroom:".
	Prefix string
	// KeyLease is how long an unfinished launch holds its Idempotency-Key since it reserved or
	// renewed it. Default staging.KeyLease.
	KeyLease time.Duration
	// KeyLife is how long a finished launch holds its Idempotency-Key. Default 24 hours.
	KeyLife time.Duration
	// EndedLife is how long an ended session can still be read. Default 1 hour.
	EndedLife time.Duration
	// MaxEnded is the most ended sessions that can be listed: those that ended last. Default 10,000.
	MaxEnded int
}

// Store is greenroom's state in one Redis primary. It may be used concurrently.
type Store struct {
	rdb     redis.UniversalClient
	o       Options
	batcher batcher
	server  serverWatch
	// restoredThrough is NoteRestored's.
	restoredThrough atomic.Uint64
}

// New returns a store on rdb. The caller closes rdb.
func New(rdb redis.UniversalClient, o Options) *Store {
	if o.Prefix == "" {
		o.Prefix = "greenroom:"
	}
	if o.KeyLease == 0 {
		o.KeyLease = staging.KeyLease
	}
	if o.KeyLife == 0 {
		o.KeyLife = 24 * time.Hour
	}
	if o.EndedLife == 0 {
		o.EndedLife = time.Hour
	}
	if o.MaxEnded == 0 {
		o.MaxEnded = 10_000
	}
	s := &Store{rdb: rdb, o: o}
	s.server.add(rdb)
	return s
}

// Ping returns an error unless Redis answers; in a Redis Cluster, unless the node does that
// has the store's keys.
func (s *Store) Ping(ctx context.Context) error {
	if _, cluster := s.rdb.(*redis.ClusterClient); cluster {
		return callError(s.rdb.Exists(ctx, s.epochKey()).Err(), "ping")
	}
	err := s.rdb.Ping(ctx).Err()
	var answer redis.Error
	if errors.As(err, &answer) {
		err = refusedError{answer}
	}
	return callError(err, "ping")
}

// ClusterPrefix returns the prefix of keys in a Redis Cluster for that of one server: with
// "greenroom:" it is "{greenroom}:". What the braces hold is a hash tag, so all keys are in
// one slot, as the keys of one script must be. A tag for each zone would not do: nearly
// every script writes the one stream of events, and one claim may search pools of several zones
// and counts its user's sessions in all of them.
func ClusterPrefix(prefix string) string {
	return "{" + strings.TrimSuffix(prefix, ":") + "}:"
}

func (s *Store) sessionKey(id string) string      { return s.o.Prefix + "session:" + id }
func (s *Store) claimKey(id string) string        { return s.o.Prefix + "claim:" + id }
func (s *Store) readyKey(pool string) string      { return s.o.Prefix + "ready:" + pool }
func (s *Store) poolKey(pool string) string       { return s.o.Prefix + "pool:" + pool }
func (s *Store) conditionsKey(pool string) string { return s.o.Prefix + "conditions:" + pool }
func (s *Store) rolloutKey(pool string) string    { return s.o.Prefix + "rollout:" + pool }
func (s *Store) userKey(id string) string         { return s.o.Prefix + "user:" + hashed(id) }
func (s *Store) trustKey(zone string) string      { return s.o.Prefix + "vouched:" + zone }
func (s *Store) indexKey() string                 { return s.o.Prefix + "sessions" }
func (s *Store) endedKey() string                 { return s.o.Prefix + "ended" }
func (s *Store) receivingKey() string             { return s.o.Prefix + "receiving" }
func (s *Store) gatewaysKey() string              { return s.o.Prefix + "receiving:gateways" }
func (s *Store) epochKey() string                 { return s.o.Prefix + "epoch" }
func (s *Store) eventsKey() string                { return s.o.Prefix + "events" }

// idempotencyKey hashes the caller's key, which may be long and contain any characters.
func (s *Store) idempotencyKey(key string) string {
	return s.o.Prefix + "key:" + hashed(key)
}

// noKey stands for the Idempotency-Key of a launch that has none. Scripts do not use it, and a Redis
// Cluster requires that it is in the slot of the others.
func (s *Store) noKey() string { return s.o.Prefix + "key:" }

// hashed makes a short key of a caller's text.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// facts returns, as one JSON value, the part of a session that no script reads.
func facts(x staging.Session) string {
	x.State, x.Claim, x.User, x.Reason = "", "", nil, ""
	x.Terms = staging.Terms{}
	x.ReadyAt, x.AssignedAt, x.EndedAt, x.KeepaliveAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	x.VisitedAt, x.Unvisited, x.IdleWarnedAt = time.Time{}, false, time.Time{}
	x.EndWarnedOf = time.Time{}
	x.RestartedAt, x.RestartFailure = time.Time{}, ""
	x.UnhealthySince, x.RecoveredAt = time.Time{}, time.Time{}
	return mustJSON(x)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// The values consist of strings, numbers, times and maps, which always marshal.
		panic("redisstore: " + err.Error())
	}
	return string(b)
}

// decodeFacts reads a session's facts. This decoder is the successor of encoding/json by the same
// authors, and takes half its time: a launch waits for it.
func decodeFacts(text string, x *staging.Session) error { return jsonv2.Unmarshal([]byte(text), x) }

// decode returns the session that a hash holds. id is for its errors.
func decode(id string, h map[string]string) (staging.Session, error) {
	var x staging.Session
	if err := decodeFacts(h["facts"], &x); err != nil {
		return x, callError(err, "parse the facts of session %s", id)
	}
	x.State = staging.State(h["state"])
	x.Claim = h["claim"]
	x.Demoted = h["demoted"] != ""
	x.Reason = h["reason"]
	if u := h["user"]; u != "" {
		x.User = new(staging.User)
		if err := json.Unmarshal([]byte(u), x.User); err != nil {
			return x, callError(err, "parse the user of session %s", id)
		}
	}
	if terms := h["terms"]; terms != "" {
		if err := json.Unmarshal([]byte(terms), &x.Terms); err != nil {
			return x, callError(err, "parse the terms of session %s", id)
		}
	}
	x.KeepaliveAt = millis(h["keepalive_at"])
	x.VisitedAt, x.Unvisited, x.IdleWarnedAt = millis(h["visited_at"]), h["unvisited_since"] != "", millis(h["idle_warned_at"])
	x.EndWarnedOf = millis(h["end_warned_of"])
	x.ReadyAt = millis(h["ready_at"])
	x.AssignedAt = millis(h["assigned_at"])
	x.EndedAt = millis(h["ended_at"])
	x.RestartedAt, x.RestartFailure = millis(h["restarted_at"]), h["restart_failure"]
	x.UnhealthySince, x.RecoveredAt = millis(h["unhealthy_since"]), millis(h["recovered_at"])
	if x.Claim != "" {
		// Only a session that waits in a pool expires.
		x.ExpiresAt = time.Time{}
	}
	return x, nil
}

// millis returns the time of a text of milliseconds since 1970; zero for "", "0" or no number.
func millis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
