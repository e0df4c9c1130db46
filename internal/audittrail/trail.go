package audittrail

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Record is an audit record with its place in a chain.
type Record struct {
	// Chain identifies the chain, and Seq counts its records from 1.
	Chain string `json:"audit_chain"`
	Seq   uint64 `json:"audit_seq"`
	// At is when the record was made, in UTC.
	At time.Time `json:"audit_at"`
	staging.Audit
	// Previous is the Hash of the record before; "" for the first.
	Previous string `json:"audit_previous,omitempty"`
	// Hash is the SHA-256, in hex, of the record in JSON without this field.
	Hash string `json:"audit_hash,omitempty"`
}

// sealed returns the record with its hash.
func (r Record) sealed() Record {
	r.Hash = ""
	b, err := json.Marshal(r)
	if err != nil {
		panic("audittrail: a record always marshals: " + err.Error())
	}
	sum := sha256.Sum256(b)
	r.Hash = hex.EncodeToString(sum[:])
	return r
}

// Trail writes a chain. It may be used concurrently.
type Trail struct {
	write func(Record) error
	mu    sync.Mutex
	last  Record
}

// New returns a trail that begins a chain. write writes one record. It is called by one
// goroutine at a time, in the order of the chain.
func New(write func(Record) error) *Trail {
	return &Trail{write: write, last: Record{Chain: strings.ToLower(rand.Text())}}
}

// Add writes a record. After an error the record may be half written. It is in the chain all
// the same, so that the gap that it leaves shows.
func (t *Trail) Add(a staging.Audit, now time.Time) error {
	// What is not valid UTF-8 would read back as something else.
	for _, text := range []*string{&a.Who, &a.Role, &a.Operation, &a.Target, &a.Before, &a.After, &a.Reason, &a.Remote, &a.RequestID} {
		*text = strings.ToValidUTF8(*text, "?")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = Record{Chain: t.last.Chain, Seq: t.last.Seq + 1, At: now.UTC(), Audit: a, Previous: t.last.Hash}.sealed()
	return t.write(t.last)
}
