package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/broker/httpapi/contracttest"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// The tests of this package run the program as a user does: built, started as a
// process of its own, and driven over its API and command line. What they
// assert, they ask of Nomad, Consul, Docker and the sessions themselves.

// bin is where TestMain builds greenroom and demo-session.
var bin string

// shared is the one greenroom dev that most tests use.
var shared struct {
	once sync.Once
	dev  *devProcess
	err  error
}

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if bin, err = os.MkdirTemp("", "greenroom-test-bin-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	for program, from := range map[string]string{"greenroom": ".", "demo-session": "../demo-session"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(bin, program), from)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building %s: %w\n%s", program, err, out)
		}
	}
	code = m.Run()
	if shared.dev != nil {
		err = shared.dev.stop(syscall.SIGINT)
	}
	return code, err
}

// devProcess is a greenroom dev under test.
type devProcess struct {
	cmd  *exec.Cmd
	out  *buffer
	done chan struct{}
	// agent is the broker, where the test started it by itself.
	agent *agent
	readyFile
}

type readyFile struct{ Broker, Consul, Nomad, Redis, Token string }

// buffer gathers a process's output while others read it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command runs greenroom with arguments.
func command(args ...string) *exec.Cmd { return exec.Command(filepath.Join(bin, "greenroom"), args...) }

// startDev starts a greenroom dev and returns once it is ready.
func startDev(args ...string) (*devProcess, error) {
	d, file, err := launchDev(args...)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(filepath.Dir(file))
	deadline := time.After(10 * time.Minute)
	for {
		if b, err := os.ReadFile(file); err == nil {
			return d, json.Unmarshal(b, &d.readyFile)
		}
		select {
		case <-d.done:
			return nil, fmt.Errorf("greenroom dev ended before it was ready:\n%s", d.out)
		case <-deadline:
			return nil, errors.Join(fmt.Errorf("greenroom dev was not ready in 10 minutes:\n%s", d.out), d.stop(syscall.SIGINT))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// launchDev starts a greenroom dev and returns at once.
func launchDev(args ...string) (d *devProcess, readyFile string, err error) {
	dir, err := os.MkdirTemp("", "greenroom-test-ready-")
	if err != nil {
		return nil, "", err
	}
	readyFile = filepath.Join(dir, "ready.json")
	d = &devProcess{out: new(buffer), done: make(chan struct{})}
	d.cmd = command(append([]string{"dev", "--ready-file", readyFile}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		return nil, "", err
	}
	go func() { _ = d.cmd.Wait(); close(d.done) }()
	return d, readyFile, nil
}

// stop sends a signal and waits for the end.
func (d *devProcess) stop(sig syscall.Signal) error {
	began := time.Now()
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(time.Minute):
		_ = d.cmd.Process.Kill()
		return fmt.Errorf("greenroom dev did not end within a minute of %s:\n%s", sig, d.out)
	}
	measured("greenroom dev ended %.1f s after %s\n", time.Since(began).Seconds(), sig)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("greenroom dev ended with exit code %d:\n%s", code, d.out)
	}
	return nil
}

// dir is where the servers keep their data, as the printed table says.
func (d *devProcess) dir(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(d.out.String()) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "logs" {
			return f[1]
		}
	}
	t.Fatalf("the table names no log directory:\n%s", d.out)
	return ""
}

// sharedDev gives the greenroom dev that tests share, with Docker where it is
// there; under CI it must be.
func sharedDev(t *testing.T) *devProcess {
	t.Helper()
	shared.once.Do(func() {
		if os.Getenv("CI") == "true" {
			if shared.err = devcluster.DockerAvailable(context.Background()); shared.err != nil {
				return
			}
		}
		shared.dev, shared.err = startDev()
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, agent := range []string{"broker", "scaler"} {
				b, _ := os.ReadFile(filepath.Join(shared.dev.dir(t), "greenroom", agent+".log"))
				lines := strings.Split(string(b), "\n")
				t.Logf("the end of the log of the %s:\n%s", agent, strings.Join(lines[max(0, len(lines)-40):], "\n"))
			}
		}
	})
	return shared.dev
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// call asks the API; body is JSON text, or "" for none.
func (d *devProcess) call(method, path, body string, headers ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.Broker+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil {
		err = heldToContract(req, res, b)
	}
	return reply{res.StatusCode, res.Header, b}, err
}

// held is the contract that every answer of every test is held to.
var held struct {
	once     sync.Once
	contract *contracttest.Contract
	err      error
}

func heldToContract(req *http.Request, res *http.Response, body []byte) error {
	held.once.Do(func() {
		var raw []byte
		if raw, held.err = os.ReadFile("../../broker/httpapi/openapi.yaml"); held.err == nil {
			held.contract, held.err = contracttest.New(raw)
		}
	})
	if held.err != nil {
		return held.err
	}
	return held.contract.Check(req, res.StatusCode, res.Header, body)
}

// ask is call with a status that must come; into, when not nil, takes the body.
func (d *devProcess) ask(t *testing.T, method, path string, body any, status int, into any, headers ...string) reply {
	t.Helper()
	text := ""
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		j, err := json.Marshal(b)
		must(t, err)
		text = string(j)
	}
	r, err := d.call(method, path, text, headers...)
	must(t, err)
	if r.status != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", method, path, r.status, status, r.body)
	}
	if into != nil {
		must(t, json.Unmarshal(r.body, into))
	}
	return r
}

// launched is a launch's reply, as the issue that asked for the API has it.
type launched struct {
	ID, State, Origin, Zone, Image string
	Staging, Revision, Reason      string
	Token                          string
	ConnectURL                     string `json:"connect_url"`
	User                           staging.User
	Address                        string
	Ports                          map[string]int
	Attempts                       []struct{ Step, Zone, Outcome, Reason string }
	TimingsMS                      map[string]float64 `json:"timings_ms"`
}

// page is where the session serves its page.
func (l launched) page() string { return fmt.Sprintf("http://%s:%d", l.Address, l.Ports["http"]) }

// launch is a launch body.
func launch(image, zone, user string) map[string]any {
	return map[string]any{"image": image, "zone": zone, "user": map[string]string{"id": "u-" + user, "name": user}}
}

// served is one line of a demo session's own record of whom it was given to.
type served struct {
	UserID      string `json:"user_id"`
	UserName    string `json:"user_name"`
	URL         string
	Session     string
	Via         string
	Environment map[string]string
}

// record asks a session itself whom it was given to.
func record(t *testing.T, l launched) []served {
	t.Helper()
	var all []served
	must(t, json.Unmarshal([]byte(get(t, l.page()+"/served")), &all))
	return all
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return string(b)
}

// quickImage is the demo as a plain process that is healthy at once: for tests
// that need many sessions and no warm-up.
func quickImage(name string) staging.Image {
	return staging.Image{
		Name: name, Jobspec: jobspecs.DemoRawExec,
		Variables:  map[string]string{"command": filepath.Join(bin, "demo-session"), "warmup": "0s"},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{filepath.Join(bin, "demo-session"), "assign"}}},
	}
}

// stage stores an image and a pool of it in zone east, named alike, and removes
// both, and every session of theirs, when the test ends.
func (d *devProcess) stage(t *testing.T, image staging.Image, desired int, change ...func(*staging.Config)) staging.Config {
	t.Helper()
	c := staging.Config{Name: image.Name, Zone: "east", Image: image.Name, DesiredSessions: desired}
	for _, f := range change {
		f(&c)
	}
	d.ask(t, "PUT", "/v1/images/"+image.Name, image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/"+c.Name, c, 201, nil)
	t.Cleanup(func() {
		d.ask(t, "DELETE", "/v1/staging/"+c.Name, nil, 204, nil)
		d.ask(t, "DELETE", "/v1/images/"+image.Name, nil, 204, nil)
		d.endAll(t, image.Name)
	})
	return c
}

// zone stores a zone on a datacenter that can stage, and deletes it when the
// test ends.
func (d *devProcess) zone(t *testing.T, name, datacenter string, change ...func(*staging.Zone)) staging.Zone {
	t.Helper()
	z := staging.Zone{Name: name, Datacenters: []string{datacenter}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1"}
	for _, f := range change {
		f(&z)
	}
	d.ask(t, "PUT", "/v1/zones/"+name, z, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/zones/"+name, nil, 204, nil) })
	return z
}

// group stores a group, and deletes it when the test ends.
func (d *devProcess) group(t *testing.T, g staging.Group) {
	t.Helper()
	d.ask(t, "PUT", "/v1/groups/"+g.Name, g, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/groups/"+g.Name, nil, 204, nil) })
}

// store stores an image, and deletes it and its sessions when the test ends.
func (d *devProcess) store(t *testing.T, image staging.Image) {
	t.Helper()
	d.ask(t, "PUT", "/v1/images/"+image.Name, image, 201, nil)
	t.Cleanup(func() {
		d.ask(t, "DELETE", "/v1/images/"+image.Name, nil, 204, nil)
		d.endAll(t, image.Name)
	})
}

// dockerImage is the demo in Docker under another name, healthy at once.
func (d *devProcess) dockerImage(t *testing.T, name string) staging.Image {
	t.Helper()
	var image staging.Image
	d.ask(t, "GET", "/v1/images/demo", nil, 200, &image)
	if !strings.Contains(image.Jobspec, `"docker"`) {
		t.Skip("no Docker daemon answers: what happens inside a container is not looked at")
	}
	image.Name = name
	image.Variables["warmup"] = "0s"
	return image
}

// inside runs a shell command in a session, as an administrator would, and
// gives what it wrote.
func (d *devProcess) inside(t *testing.T, session, command string) string {
	t.Helper()
	n := d.nomad(t)
	allocs, _, err := n.Jobs().Allocations(session, true, nil)
	must(t, err)
	if len(allocs) == 0 {
		t.Fatalf("session %s has no allocation", session)
	}
	alloc, _, err := n.Allocations().Info(allocs[0].ID, nil)
	must(t, err)
	var text string
	// The Docker driver may cut the end off, so the end must be seen.
	until(t, "a command ran inside "+session, func() (bool, string) {
		var out buffer
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		// Its input stays open while it runs: an end of it would end the exec.
		in, hold := io.Pipe()
		defer hold.Close()
		_, err := n.Allocations().Exec(ctx, alloc, "session", false,
			[]string{"/bin/sh", "-c", command + "\necho the-end-of-it"}, in, &out, &out, nil, nil)
		var whole bool
		text, whole = strings.CutSuffix(strings.TrimSpace(out.String()), "the-end-of-it")
		return whole, fmt.Sprint(err, " ", out.String())
	})
	return strings.TrimSpace(text)
}

// noted are the events of a type that Redis keeps, newest last.
func (d *devProcess) noted(t *testing.T, kind staging.EventType) []map[string]any {
	t.Helper()
	var found []map[string]any
	for _, e := range d.events(t) {
		if e["type"] == string(kind) {
			found = append(found, e)
		}
	}
	return found
}

// events are all that Redis keeps, newest last.
func (d *devProcess) events(t *testing.T) (all []map[string]any) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(d.Redis, "redis://")})
	defer rdb.Close()
	found, err := rdb.XRange(t.Context(), "greenroom:events", "-", "+").Result()
	must(t, err)
	for _, m := range found {
		all = append(all, m.Values)
	}
	return all
}

// untilCondition waits until a pool carries a condition whose message holds a text.
func (d *devProcess) untilCondition(t *testing.T, pool string, kind staging.ConditionType, text string) {
	t.Helper()
	until(t, fmt.Sprintf("%s says %s: %s", pool, kind, text), func() (bool, string) {
		var s standing
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		for _, c := range s.Conditions {
			if c.Type == kind && strings.Contains(c.Message, text) && !c.Since.IsZero() {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", s)
	})
}

// session reads a session.
func (d *devProcess) session(t *testing.T, id string) launched {
	t.Helper()
	var s launched
	d.ask(t, "GET", "/v1/sessions/"+id, nil, 200, &s)
	return s
}

// untilEnded waits until a session has ended, and gives why.
func (d *devProcess) untilEnded(t *testing.T, id string) (reason string) {
	t.Helper()
	until(t, "session "+id+" ends", func() (bool, string) {
		s := d.session(t, id)
		reason = s.Reason
		return s.State == "ended", s.State
	})
	return reason
}

// endAll ends an image's sessions and waits until Nomad runs none of them.
func (d *devProcess) endAll(t *testing.T, image string) {
	var list struct {
		Items []struct{ ID, State, Image string }
	}
	until(t, "no session of "+image+" is left in Nomad", func() (bool, string) {
		d.ask(t, "GET", "/v1/sessions?limit=1000&image="+image, nil, 200, &list)
		for _, s := range list.Items {
			if s.Image == image && (s.State == "assigned" || s.State == "starting" || s.State == "pending") {
				_, _ = d.call("DELETE", "/v1/sessions/"+s.ID, "")
			}
		}
		left := d.jobs(t, image)
		return len(left) == 0, fmt.Sprint(left)
	})
}

func (d *devProcess) nomad(t *testing.T) *nomadapi.Client {
	t.Helper()
	c, err := nomadapi.NewClient(&nomadapi.Config{Address: d.Nomad})
	must(t, err)
	return c
}

func (d *devProcess) consul(t *testing.T) *consulapi.Client {
	t.Helper()
	c, err := consulapi.NewClient(&consulapi.Config{Address: d.Consul})
	must(t, err)
	return c
}

// job is what Nomad says of a session's job.
type job struct {
	id, staging, origin string
	submitted           time.Time
}

// jobs are the image's jobs that run, or will, by Nomad's own word.
func (d *devProcess) jobs(t *testing.T, image string) []job {
	t.Helper()
	list, _, err := d.nomad(t).Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}},
		&nomadapi.QueryOptions{Prefix: staging.SessionPrefix})
	must(t, err)
	var out []job
	for _, j := range list {
		if j.Meta["greenroom_image"] == image && !j.Stop && j.Status != "dead" {
			out = append(out, job{j.ID, j.Meta["greenroom_staging"], j.Meta["greenroom_origin"], time.Unix(0, j.SubmitTime)})
		}
	}
	slices.SortFunc(out, func(a, b job) int { return strings.Compare(a.id, b.id) })
	return out
}

// passing are the pool's sessions that pass their checks, by Consul's own word.
func (d *devProcess) passing(t *testing.T, pool string) []string {
	t.Helper()
	entries, _, err := d.consul(t).Health().Service(staging.PoolService(pool), "", true, nil)
	must(t, err)
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Service.Meta["greenroom_session"])
	}
	slices.Sort(ids)
	return ids
}

// standing is a staging config as the API answers it.
type standing struct {
	Zone       string
	Current    int `json:"current_sessions"`
	Ready      int `json:"ready_sessions"`
	Conditions []staging.Condition
}

// untilReady waits until a pool has so many sessions ready, by its own word and
// Consul's, and launches take them by Redis's.
func (d *devProcess) untilReady(t *testing.T, pool string, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		var s standing
		d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
		passing := d.passing(t, pool)
		believed := d.believed(t, s.Zone)
		return s.Ready == n && len(passing) >= n && believed, fmt.Sprintf("%+v; passing in Consul: %d; Redis is believed: %v", s, len(passing), believed)
	})
}

// until waits for a condition and says what it last saw when it does not come.
func until(t *testing.T, what string, look func() (ok bool, saw string)) {
	t.Helper()
	untilEvery(t, 50*time.Millisecond, what, look)
}

// untilEvery is until for whoever must not look too often: looking costs the servers, too.
func untilEvery(t *testing.T, pause time.Duration, what string, look func() (ok bool, saw string)) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok, saw := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes; last seen: %s", what, saw)
		}
		time.Sleep(pause)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scalerMetric reads one metric of the scaler, 0 when it has none of that name.
func (d *devProcess) scalerMetric(t *testing.T, name string) (value float64) {
	t.Helper()
	return metric(t, d.scaler(t), name)
}

// scaler is the address of the shared scaler, as its log has it.
func (d *devProcess) scaler(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir(t), "greenroom", "scaler.log"))
	must(t, err)
	_, rest, _ := strings.Cut(string(b), "address=\"")
	address, _, _ := strings.Cut(rest, "\"")
	return "http://" + address
}

// metric reads one metric, its labels included, 0 when there is none of that name.
func metric(t *testing.T, agent, name string) (value float64) {
	t.Helper()
	for line := range strings.Lines(get(t, agent+"/metrics")) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err := fmt.Sscan(rest, &value)
			must(t, err)
		}
	}
	return value
}

// measured notes a figure for make test to print at its end.
func measured(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Print(line)
	path := os.Getenv("GREENROOM_MEASURED")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot note what was measured:", err)
		return
	}
	defer f.Close()
	fmt.Fprint(f, "  ", line)
}
