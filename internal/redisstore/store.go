package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Options set a store up; zero values are replaced by the defaults named here.
type Options struct {
	// Prefix begins every key; "greenroom:".
	Prefix string
	// KeyLease is how long an Idempotency-Key is held for a launch that has not
	// finished; past it, its broker is taken for dead. 5 minutes; it must exceed
	// the longest launch.
	KeyLease time.Duration
	// KeyLife is how long a finished launch answers for its key; 24 hours.
	KeyLife time.Duration
	// EndedLife is how long an ended session can still be read; 1 hour.
	EndedLife time.Duration
}

// Store is greenroom's state in one Redis primary. It may be used concurrently.
type Store struct {
	rdb      redis.UniversalClient
	o        Options
	together together
}

// New returns a store on rdb, which stays the caller's to close.
func New(rdb redis.UniversalClient, o Options) *Store {
	if o.Prefix == "" {
		o.Prefix = "greenroom:"
	}
	if o.KeyLease == 0 {
		o.KeyLease = 5 * time.Minute
	}
	if o.KeyLife == 0 {
		o.KeyLife = 24 * time.Hour
	}
	if o.EndedLife == 0 {
		o.EndedLife = time.Hour
	}
	return &Store{rdb: rdb, o: o}
}

// Ping asks Redis whether it answers.
func (s *Store) Ping(ctx context.Context) error { return s.rdb.Ping(ctx).Err() }

func (s *Store) sessionKey(id string) string      { return s.o.Prefix + "session:" + id }
func (s *Store) claimKey(id string) string        { return s.o.Prefix + "claim:" + id }
func (s *Store) readyKey(pool string) string      { return s.o.Prefix + "ready:" + pool }
func (s *Store) poolKey(pool string) string       { return s.o.Prefix + "pool:" + pool }
func (s *Store) conditionsKey(pool string) string { return s.o.Prefix + "conditions:" + pool }
func (s *Store) userKey(id string) string         { return s.o.Prefix + "user:" + hashed(id) }
func (s *Store) trustKey(zone string) string      { return s.o.Prefix + "vouched:" + zone }
func (s *Store) indexKey() string                 { return s.o.Prefix + "sessions" }
func (s *Store) epochKey() string                 { return s.o.Prefix + "epoch" }
func (s *Store) eventsKey() string                { return s.o.Prefix + "events" }

// idempotencyKey hashes the caller's key, which may be long and hold anything.
func (s *Store) idempotencyKey(key string) string {
	return s.o.Prefix + "key:" + hashed(key)
}

// hashed makes a short name of what a caller gave.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// facts is the part of a session that no script reads, as one JSON value.
func facts(x staging.Session) string {
	x.State, x.Claim, x.User, x.Reason = "", "", nil, ""
	x.Terms = staging.Terms{}
	x.ReadyAt, x.AssignedAt, x.EndedAt, x.KeepaliveAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return mustJSON(x)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// Strings, numbers, times and maps of them always marshal.
		panic("redisstore: " + err.Error())
	}
	return string(b)
}

// decode puts a session together again from its hash.
func decode(h map[string]string) (staging.Session, error) {
	var x staging.Session
	if err := json.Unmarshal([]byte(h["facts"]), &x); err != nil {
		return x, fmt.Errorf("facts of a session in Redis do not parse: %w", err)
	}
	x.State = staging.State(h["state"])
	x.Claim = h["claim"]
	x.Reason = h["reason"]
	if u := h["user"]; u != "" {
		x.User = new(staging.User)
		if err := json.Unmarshal([]byte(u), x.User); err != nil {
			return x, fmt.Errorf("the user of session %s in Redis does not parse: %w", x.ID, err)
		}
	}
	if terms := h["terms"]; terms != "" {
		if err := json.Unmarshal([]byte(terms), &x.Terms); err != nil {
			return x, fmt.Errorf("the terms of session %s in Redis do not parse: %w", x.ID, err)
		}
	}
	x.KeepaliveAt = millis(h["keepalive_at"])
	x.ReadyAt = millis(h["ready_at"])
	x.AssignedAt = millis(h["assigned_at"])
	x.EndedAt = millis(h["ended_at"])
	if x.Claim != "" {
		// Expiration is for sessions that wait.
		x.ExpiresAt = time.Time{}
	}
	return x, nil
}

func millis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
