package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// webhookSecret signs the tests' messages.
const webhookSecret = "whsec_Z3JlZW5yb29tLXdlYmhvb2stc2VjcmV0LWV4YW1wbGU="

// hookMessage is a message as its receiver had it, for the program that verifies it, too.
type hookMessage struct {
	Secret, ID, Timestamp, Signature string
	Body                             string
	// Type and the data are those of the body.
	event hookEvent
}

// hookEvent is a message's body. It is written by hand, so that a change is noticed.
type hookEvent struct {
	Type      string
	Timestamp string
	Data      struct {
		ID, Type, At, Session, Staging, Zone, Image string
		User                                        string `json:"user_id"`
		Reason                                      string
	}
}

// receiver is a receiver of webhooks with a log of its own. It is killed and started again on
// the same port.
type receiver struct {
	URL string

	mu     sync.Mutex
	server *http.Server
	log    []hookMessage
	// answer decides what a message is answered with, outside the lock; nil for 204. Its context
	// ends when the sender hangs up. What is not answered 2xx is not in the log.
	answer func(context.Context, hookMessage) int
	// now and most are how many messages are being answered at once.
	now, most int
	failed    []string
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.start(t)
	t.Cleanup(r.kill)
	return r
}

// start begins to listen, on the port that it had if it had one.
func (r *receiver) start(t *testing.T) {
	t.Helper()
	address := "127.0.0.1:0"
	if r.URL != "" {
		address = strings.TrimSuffix(strings.TrimPrefix(r.URL, "http://"), "/events")
	}
	var listener net.Listener
	until(t, "the receiver has its port", func() (bool, string) {
		var err error
		listener, err = net.Listen("tcp", address)
		return err == nil, fmt.Sprint(err)
	})
	r.URL = "http://" + listener.Addr().String() + "/events"
	server := &http.Server{Handler: http.HandlerFunc(r.serve)}
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
}

// kill closes the port and every connection, whatever is on its way.
func (r *receiver) kill() {
	r.mu.Lock()
	server := r.server
	r.mu.Unlock()
	_ = server.Close()
}

func (r *receiver) answerWith(answer func(context.Context, hookMessage) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	m := hookMessage{
		Secret: webhookSecret, ID: q.Header.Get("webhook-id"), Timestamp: q.Header.Get("webhook-timestamp"), Signature: q.Header.Get("webhook-signature"), Body: string(body),
	}
	if err == nil {
		err = json.Unmarshal(body, &m.event)
	}
	r.mu.Lock()
	r.now++
	r.most = max(r.most, r.now)
	answer := r.answer
	if err != nil || q.Method != http.MethodPost || q.URL.Path != "/events" {
		r.failed = append(r.failed, fmt.Sprint(q.Method, " ", q.URL, " ", err, " ", m.Body))
	}
	r.mu.Unlock()
	status := http.StatusNoContent
	if answer != nil {
		status = answer(q.Context(), m)
	}
	r.mu.Lock()
	r.now--
	if status/100 == 2 {
		r.log = append(r.log, m)
	}
	r.mu.Unlock()
	w.WriteHeader(status)
}

// messages returns what was received, as it came, and what was received before only once.
func (r *receiver) messages(t *testing.T) []hookMessage {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) > 0 {
		t.Fatalf("the receiver got what is no message: %v", r.failed)
	}
	seen := map[string]bool{}
	var all []hookMessage
	for _, m := range r.log {
		if !seen[m.ID] {
			all = append(all, m)
		}
		seen[m.ID] = true
	}
	return all
}

// types returns the types of a session's messages, in the order in which they came.
func (r *receiver) types(t *testing.T, session string) (types []string) {
	t.Helper()
	for _, m := range r.messages(t) {
		if m.event.Data.Session == session {
			types = append(types, m.event.Type)
		}
	}
	return types
}

// count returns how many messages of a type came.
func (r *receiver) count(t *testing.T, kind string) (n int) {
	t.Helper()
	for _, m := range r.messages(t) {
		if m.event.Type == kind {
			n++
		}
	}
	return n
}

// ordered fails unless a receiver's log has each session's messages in the order in which they
// happened, by the first arrival of each.
func (r *receiver) ordered(t *testing.T) {
	t.Helper()
	last := map[string]hookMessage{}
	for _, m := range r.messages(t) {
		key := m.event.Data.Session
		if before, ok := last[key]; ok && key != "" && staging.CompareEventIDs(before.event.Data.ID, m.event.Data.ID) > 0 {
			t.Errorf("session %s: %s %s came after %s %s", key, m.event.Type, m.event.Data.ID, before.event.Type, before.event.Data.ID)
		}
		last[key] = m
	}
}

// verified fails unless the snippet of deploy/README.md accepts each message that came, and
// refuses each that was changed.
func (r *receiver) verified(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "deploy", "README.md"))
	must(t, err)
	_, after, found := strings.Cut(string(text), "```go\n// verify ")
	snippet, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatal("deploy/README.md has no snippet that verifies a message")
	}
	program := filepath.Join(t.TempDir(), "main.go")
	must(t, os.WriteFile(program, []byte(`package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// verify `+snippet+`

func main() {
	var all []struct{ Secret, ID, Timestamp, Signature, Body string }
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	for _, m := range all {
		fmt.Println(verify(m.Secret, m.ID, m.Timestamp, m.Signature, []byte(m.Body)) == nil)
	}
}
`), 0o600))
	good := r.messages(t)
	all := slices.Clone(good)
	for _, change := range []func(*hookMessage){
		func(m *hookMessage) { m.Body += " " },
		func(m *hookMessage) { m.ID += "1" },
		func(m *hookMessage) { m.Timestamp = "1763965200" },
		func(m *hookMessage) { m.Secret = "whsec_" + strings.Repeat("AAAA", 8) },
		func(m *hookMessage) { m.Signature = "v1,AAAA" },
	} {
		m := good[0]
		change(&m)
		all = append(all, m)
	}
	input, err := json.Marshal(all)
	must(t, err)
	run := exec.CommandContext(t.Context(), "go", "run", program)
	run.Dir = filepath.Dir(program)
	run.Stdin = bytes.NewReader(input)
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, said := range strings.Fields(string(out)) {
		if want := fmt.Sprint(i < len(good)); said != want {
			t.Errorf("message %d of %d: the snippet says %s, want %s: %+v", i, len(good), said, want, all[i])
		}
	}
}
