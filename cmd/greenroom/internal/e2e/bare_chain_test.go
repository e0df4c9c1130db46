package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// The bare chain is the least that a launch with an assign hook can cost one call after
// another, with the same clients of the same servers: one HTTP request to a handler that runs one
// script in Redis, creates a key in Consul, sends one line to a shell that waits in a session and
// reads its answer, and writes the key in Consul again. The line runs the command that the hook
// runs. It checks nothing, knows no users, and keeps no record.
//
// Its server is a process of its own, as a broker is: this test's binary, started again.

// bareChainEnv has the settings of the server, as JSON, in the environment of its process.
const bareChainEnv = "GREENROOM_TEST_BARE_CHAIN"

// bareChain are the settings of the server.
type bareChain struct {
	Redis, Consul, Nomad   string
	Alloc, Node, Job, Task string
	Line                   string
	Prefix                 string
	redis                  *redis.Client
	consul                 *consulapi.KV
	stdin                  io.Writer
	answers                *bufio.Reader
	ended                  chan error
	served                 int
}

// bareClaim is the script in Redis: the least with which one caller wins.
var bareClaim = redis.NewScript(`return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', 3600)`)

// serveBareChain serves until the standard input ends. It prints the server's address.
func serveBareChain(settings string) error {
	var b bareChain
	if err := json.Unmarshal([]byte(settings), &b); err != nil {
		return err
	}
	b.redis = redis.NewClient(&redis.Options{Addr: b.Redis})
	defer b.redis.Close()
	config := consulapi.DefaultConfig()
	config.Address = b.Consul
	consul, err := consulapi.NewClient(config)
	if err != nil {
		return err
	}
	b.consul = consul.KV()
	defer func() { _, _ = b.consul.DeleteTree(b.Prefix, nil) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := b.openShell(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /chain", b.handle)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	go func() { b.ended <- server.Serve(listener) }()
	fmt.Println(listener.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, server.Close())
}

// openShell opens a shell in the session, and keeps it open.
func (b *bareChain) openShell(ctx context.Context) error {
	nomad, err := nomadapi.NewClient(&nomadapi.Config{Address: b.Nomad})
	if err != nil {
		return err
	}
	stdin, commands := io.Pipe()
	answers, stdout := io.Pipe()
	b.stdin, b.answers, b.ended = commands, bufio.NewReader(answers), make(chan error, 2)
	go func() {
		alloc := &nomadapi.Allocation{ID: b.Alloc, NodeID: b.Node, JobID: b.Job}
		_, err := nomad.Allocations().Exec(ctx, alloc, b.Task, false, []string{"/bin/sh"}, stdin, stdout, io.Discard, nil, nil)
		stdout.CloseWithError(fmt.Errorf("the exec has ended: %w", errors.Join(err, io.EOF)))
		b.ended <- err
	}()
	return b.line(":", "up")
}

// line sends a line to the shell, and returns once the shell has answered it.
func (b *bareChain) line(command, answer string) error {
	if _, err := fmt.Fprintf(b.stdin, "%s; echo %s\n", command, answer); err != nil {
		return err
	}
	for {
		text, err := b.answers.ReadString('\n')
		if err != nil || text == answer+"\n" {
			return err
		}
	}
}

// chainTimes is the server's answer: how long the parts of the chain took, in milliseconds.
type chainTimes struct{ Redis, Consul, Shell float64 }

// handle does the chain. Requests come one at a time.
func (b *bareChain) handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var took chainTimes
	if err == nil {
		took, err = b.chain(r.Context(), body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(took) // the client sees an answer that is cut off
}

func (b *bareChain) chain(ctx context.Context, body []byte) (took chainTimes, err error) {
	b.served++
	key := fmt.Sprint(b.Prefix, b.served)
	ctx, cancel := context.WithTimeout(ctx, wirePatience)
	defer cancel()
	began := time.Now()
	if err := bareClaim.Run(ctx, b.redis, []string{key}, body).Err(); err != nil {
		return took, fmt.Errorf("the script in Redis: %w", err)
	}
	took.Redis, began = milliseconds(began), time.Now()
	pair := &consulapi.KVPair{Key: key, Value: body}
	created, _, err := b.consul.CAS(pair, new(consulapi.WriteOptions).WithContext(ctx))
	if err == nil && !created {
		err = errors.New("the key is there")
	}
	if err != nil {
		return took, fmt.Errorf("create in Consul: %w", err)
	}
	took.Consul, began = milliseconds(began), time.Now()
	if err := b.line(b.Line, fmt.Sprint("answer-", b.served)); err != nil {
		return took, fmt.Errorf("the shell: %w", err)
	}
	took.Shell, began = milliseconds(began), time.Now()
	if _, err := b.consul.Put(pair, new(consulapi.WriteOptions).WithContext(ctx)); err != nil {
		return took, fmt.Errorf("write in Consul: %w", err)
	}
	took.Consul += milliseconds(began)
	return took, nil
}

// startBareChain starts the server, with a shell in a session of its own, and returns its
// address. line is the command that the shell runs.
func startBareChain(t *testing.T, d *devProcess, session launched, line string) (address string) {
	t.Helper()
	alloc := d.alloc(t, session.ID)
	settings, err := json.Marshal(bareChain{
		Redis: strings.TrimPrefix(d.Redis, "redis://"), Consul: d.Consul, Nomad: d.Nomad, Alloc: alloc.ID, Node: alloc.NodeID, Job: session.ID, Task: "session",
		Line: line, Prefix: "greenroom-floor/" + strings.ToLower(staging.NewClaimID()) + "/",
	})
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), bareChainEnv+"="+string(settings))
	wrong := new(bytes.Buffer)
	cmd.Stderr = wrong
	stdin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the bare chain: %v\n%s", err, wrong)
		}
	})
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the bare chain did not start: %v\n%s", err, wrong)
	}
	return strings.TrimSpace(address)
}
