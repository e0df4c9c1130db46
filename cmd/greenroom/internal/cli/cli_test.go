package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestLaunchCommand(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.Result = launching.Result{
		Session:  clitest.UserSession(),
		Attempts: []staging.Attempt{{Step: staging.StepStaged, Zone: "east", Outcome: staging.OutcomeServed}},
		Timings:  staging.Timings{Claim: time.Millisecond, Total: 12 * time.Millisecond},
	}
	c.Want(exit.OK, []string{"launch", "demo", "--zone", "east", "--user", "alice"},
		"gr-1", "assigned", "alice", "admin=127.0.0.1:1 http=127.0.0.1:23817", "staged in east: served", "12.0 ms")
	if asked := c.Broker.Asked; asked.User != (staging.User{ID: "alice", Name: "alice"}) || asked.Wait != time.Minute || asked.IdempotencyKey == "" {
		t.Errorf("asked for %+v", asked)
	}
	out := c.Want(exit.OK, []string{
		"launch", "demo", "--zone", "east", "--user", "Bob, \"B\"\n$(id)", "--user-id", "u-2", "--url", "https://example.org",
		"--env", "A=1,2", "--env", "B=x=y", "--wait", "5m", "--idempotency-key", "k 1", "-o", "json",
	})
	want := launching.Request{
		Launch: staging.Launch{
			Image: "demo", Zone: "east", User: staging.User{ID: "u-2", Name: "Bob, \"B\"\n$(id)"}, URL: "https://example.org",
			Environment: map[string]string{"A": "1,2", "B": "x=y"},
		},
		IdempotencyKey: "k 1", Wait: 5 * time.Minute, RequestHost: "127.0.0.1",
	}
	if c.Broker.Asked.HungUp == nil {
		t.Error("the launch would not learn that its caller hung up")
	}
	c.Broker.Asked.HungUp = nil
	if diff := cmp.Diff(want, c.Broker.Asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	var reply httpapi.Launched
	if err := json.Unmarshal([]byte(out), &reply); err != nil || reply.ID != "gr-1" || len(reply.Attempts) != 1 || reply.TimingsMs.Total != 12 {
		t.Errorf("-o json: %v\n%s", err, out)
	}
	if out := c.Want(exit.OK, []string{"launch", "demo", "--zone", "east", "--user", "alice", "-o", "name"}); out != "gr-1\n" {
		t.Errorf("-o name: %q", out)
	}
	c.Broker.Result.Session.State = staging.Starting
	c.Want(exit.NotUp, []string{"launch", "demo", "--zone", "east", "--user", "alice"}, "starting", "sessions show gr-1")
	c.Want(exit.OK, []string{"launch", "demo", "--zone", "east", "--user", "alice", "--wait", "0s"}, "starting", "sessions show gr-1")
}

func TestSessionsAreListedByWhatFlagsName(t *testing.T) {
	c := clitest.New(t, "")
	session := clitest.UserSession()
	session.Revision = "6f1d0a9c2b7e"
	c.Broker.SessionList = []staging.Session{session}
	c.Want(exit.OK, []string{"sessions", "--state", "ready,assigned", "--origin", "staged", "--zone", "east", "--image", "demo", "--staging", "demo-east", "--user", "u-1", "--revision", "6f1d0a9c2b7e"})
	want := staging.SessionFilter{
		States: []staging.State{staging.Ready, staging.Assigned}, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "demo-east", User: "u-1", Revision: "6f1d0a9c2b7e",
	}
	if diff := cmp.Diff(want, c.Broker.Filter); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	c.Want(exit.OK, []string{"sessions", "list"})
	if diff := cmp.Diff(staging.SessionFilter{}, c.Broker.Filter); diff != "" {
		t.Errorf("without flags asked for (-want +got):\n%s", diff)
	}
	c.Want(exit.Invalid, []string{"sessions", "list", "--state", "happy"}, "state", "happy")

	// A variable of a script that is empty does not select every session.
	for _, flag := range []string{"--user", "--zone", "--image", "--staging", "--state", "--origin", "--revision"} {
		c.Want(exit.Usage, []string{"sessions", flag, ""}, flag+": must not be empty")
		c.Want(exit.Usage, []string{"sessions", "end", "--yes", flag, ""}, flag+": must not be empty")
	}
	// A name that nothing has is most likely misspelt; a user without sessions is none.
	c.Broker.SessionList = nil
	c.Broker.ZoneByName["east"], c.Broker.ZoneByName["west"] = staging.Zone{Name: "east"}, staging.Zone{Name: "west"}
	c.Want(exit.NotFound, []string{"sessions", "--zone", "eats"}, `there is no zone "eats"; known are east, west`)
	c.Want(exit.NotFound, []string{"sessions", "list", "--image", "demo"}, `there is no image "demo"; there are none`)
	c.Want(exit.NotFound, []string{"sessions", "--staging", "demo-east", "-o", "json"}, `"not_found"`, "no staging config")
	c.Want(exit.OK, []string{"sessions", "--zone", "east"}, "USER ID")
	c.Want(exit.OK, []string{"sessions", "--user", "nobody"}, "USER ID")
}

// TestSessionsOfAnOldRevision: the broker says which they are, by one word; the first characters of
// a revision stand for it, and one that nothing has is most likely misspelt.
func TestSessionsOfAnOldRevision(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.ConfigByName["demo-east"] = staging.Config{Name: "demo-east", Zone: "east", Image: "demo"}
	c.Broker.OldRevisions = map[string]bool{"0123456789ab": true}
	for id, revision := range map[string]string{"gr-old": "0123456789ab", "gr-new": "89abcdef0123"} {
		s := clitest.UserSession()
		s.ID, s.Revision = id, revision
		c.Broker.SessionList = append(c.Broker.SessionList, s)
	}
	for of, want := range map[string]string{"old": "gr-old\n", "0123": "gr-old\n", "89abcdef0123": "gr-new\n", "6f1d": ""} {
		if out := c.Want(exit.OK, []string{"sessions", "--revision", of, "-o", "name"}); out != want {
			t.Errorf("--revision %s: %q", of, out)
		}
	}
	var all struct{ Items []struct{ ID string } }
	clitest.Decode(t, c.Want(exit.OK, []string{"sessions", "--revision", "old", "-o", "json"}), &all)
	if len(all.Items) != 1 || all.Items[0].ID != "gr-old" {
		t.Errorf("%+v", all)
	}
	c.Want(exit.Invalid, []string{"sessions", "--revision", "012"}, "first 4 or more characters")
	c.Want(exit.NotFound, []string{"sessions", "--revision", "ffff0000"}, `there is no revision "ffff0000"`)
	c.Want(exit.NotFound, []string{"sessions", "end", "--revision", "ffff0000", "--yes"}, `there is no revision "ffff0000"`)
	if out := c.Want(exit.OK, []string{"sessions", "end", "--revision", "old", "--yes"}, "gr-old is being ended"); strings.Contains(out, "gr-new") {
		t.Errorf("%s", out)
	}
}

// TestLaunchWithoutAUser: whose it is, the token says, or the broker that it must be said.
func TestLaunchWithoutAUser(t *testing.T) {
	c := clitest.New(t, "")
	c.Want(exit.Invalid, []string{"launch", "demo", "--zone", "east"}, "--user: must not be empty: only a user's own token says who it is")
}

func TestExitCodes(t *testing.T) {
	launch := []string{"launch", "demo", "--zone", "east", "--user", "alice"}
	attempts := []staging.Attempt{{Step: staging.StepOnDemand, Zone: "east", Outcome: staging.OutcomeFailed, Reason: "no memory"}}
	for _, tt := range []struct {
		name    string
		err     error
		args    []string
		code    int
		printed []string
	}{
		{"not found", nil, []string{"sessions", "show", "gr-x"}, exit.NotFound, []string{"gr-x", "not_found"}},
		{"not valid", staging.Invalid("launch", "zone", "there is no zone %q", "east"), launch, exit.Invalid, []string{"--zone: there is no zone"}},
		{
			"no such image", staging.Invalid("launch", "image", launching.Unknown+"there is no image %q; GET /v1/images lists them", "dmeo"), launch, exit.NotFound,
			[]string{`IMAGE: there is no image "dmeo"; greenroom images lists them`},
		},
		{
			"no such group", staging.Invalid("launch", "groups[1]", launching.Unknown+"there is no group %q; GET /v1/groups lists them", "staf"), launch, exit.NotFound,
			[]string{`--group: there is no group "staf"; greenroom groups lists them`},
		},
		{
			"two fields", &staging.InvalidError{What: "launch", Fields: []staging.FieldError{{Field: "url", Message: "is no address"}, {Field: "environment.A", Message: "is set by greenroom"}}},
			launch, exit.Invalid,
			[]string{"--url: is no address; --env: environment.A is set by greenroom"},
		},
		{"key reused", &refusal.Error{Kind: refusal.KeyReused, Detail: "use a fresh key"}, launch, exit.Invalid, []string{"use a fresh key"}},
		{"no capacity", &refusal.Error{Kind: refusal.NoCapacity, Detail: "full", Attempts: attempts}, launch, exit.NoCapacity, []string{"full", "on_demand in east: failed, no memory"}},
		{"launch failed", &refusal.Error{Kind: refusal.LaunchFailed, Detail: "broke"}, launch, exit.Failed, []string{"broke"}},
		{"busy", &refusal.Error{Kind: refusal.SessionBusy, Detail: "busy"}, launch, exit.Refused, []string{"busy"}},
		{"disabled", &refusal.Error{Kind: refusal.ImageDisabled, Detail: "enable it"}, launch, exit.Refused, []string{"enable it"}},
		{"too many sessions", &refusal.Error{Kind: refusal.SessionLimit, Detail: "end one"}, launch, exit.Limit, []string{"end one"}},
		{"not for this token", &refusal.Error{Kind: refusal.Forbidden, Detail: "outside the scope"}, launch, exit.Forbidden, []string{"outside the scope"}},
		{"too busy", &refusal.Error{Kind: refusal.Overloaded, Detail: "repeat it"}, launch, exit.Unavailable, []string{"repeat it"}},
		{"in use", &refusal.Error{Kind: refusal.InUse, Detail: "config demo-east names it"}, launch, exit.Refused, []string{"config demo-east names it"}},
		{"redis away", &refusal.Error{Kind: refusal.RedisUnavailable, Detail: "Redis does not answer"}, launch, exit.Unavailable, []string{"Redis does not answer", "request id"}},
		{"internal", io.ErrUnexpectedEOF, launch, exit.Failed, []string{"internal", "request id"}},
		{"no argument", nil, []string{"launch"}, exit.Usage, []string{"IMAGE", "greenroom launch --help"}},
		{"no zone", nil, []string{"launch", "demo", "--user", "x"}, exit.Usage, []string{`"zone"`}},
		{"no user", nil, []string{"launch", "demo", "--zone", "x", "--user", ""}, exit.Usage, []string{"--user"}},
		{"bad variable", nil, append(launch, "--env", "novalue"), exit.Usage, []string{"--env", "novalue"}},
		{"variable twice", nil, append(launch, "--env", "A=1", "--env", "A=2"), exit.Usage, []string{"A is there twice"}},
		{"count too high", nil, append(launch, "--count", "33"), exit.Usage, []string{"--count", "33"}},
		{"together alone", nil, append(launch, "--together"), exit.Usage, []string{"--together", "--count"}},
		{"wait too long", nil, append(launch, "--wait", "1h"), exit.Usage, []string{"--wait"}},
		{"wait is no duration", nil, append(launch, "--wait", "soon"), exit.Usage, []string{"wait"}},
		{"unknown command", nil, []string{"lunch"}, exit.Usage, []string{"lunch"}},
		{"unknown subcommand", nil, []string{"sessions", "lst"}, exit.Usage, []string{"lst"}},
		{"unknown flag", nil, []string{"sessions", "--colour"}, exit.Usage, []string{"--colour"}},
		{"unknown output", nil, []string{"sessions", "-o", "xml"}, exit.Usage, []string{"xml"}},
		{"no address", nil, []string{"sessions", "--address", "ftp://x"}, exit.Usage, []string{"--address", "ftp://x"}},
		{"no session named", nil, []string{"sessions", "end", ".."}, exit.Usage, []string{"ID"}},
		{"nobody there", nil, []string{"sessions", "--address", "127.0.0.1:1"}, exit.Unavailable, []string{"127.0.0.1:1", "is it running"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := clitest.New(t, "")
			c.Broker.Err = tt.err
			c.Want(tt.code, tt.args, tt.printed...)
		})
	}
}

func TestWhatIsNoBroker(t *testing.T) {
	for status, code := range map[int]int{http.StatusOK: exit.Failed, http.StatusNotFound: exit.Failed, http.StatusBadGateway: exit.Unavailable} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>hello</html>")
		}))
		c := clitest.New(t, "")
		for _, args := range [][]string{{"sessions"}, {"staging", "show", "x"}, {"launch", "x", "--zone", "y", "--user", "z"}} {
			c.Want(code, append(args, "--address", s.URL), "no")
		}
		s.Close()
	}
}

func TestTokenOfTheCommandLine(t *testing.T) {
	c := clitest.New(t, "sesame")
	c.Want(exit.Unauthorized, []string{"sessions"}, "unauthorized", "--token")
	c.Want(exit.OK, []string{"sessions", "--token", "sesame"})
	t.Setenv("GREENROOM_TOKEN", "sesame")
	c.Want(exit.OK, []string{"sessions"})
	if out := c.Want(exit.OK, []string{"sessions", "--help"}); strings.Contains(out, "sesame") {
		t.Errorf("help shows the token:\n%s", out)
	}
}

// TestStatusShowsAgentsOfSeveralVersions, as during an upgrade; agents of one are no news.
func TestStatusShowsAgentsOfSeveralVersions(t *testing.T) {
	c := clitest.New(t, "")
	agents := []staging.Agent{{Kind: staging.AgentBroker, Address: "10.0.0.1:7480", Version: "v2"}, {Kind: staging.AgentScaler, Address: "10.0.0.1:7481", Version: "v2"}}
	c.Broker.StatusNow = status.Status{Health: status.HealthOK, Agents: agents}
	if out := c.Want(exit.OK, []string{"status"}); strings.Contains(out, "versions") {
		t.Errorf("agents of one version:\n%s", out)
	}
	c.Broker.StatusNow.Agents = append(agents, staging.Agent{Kind: staging.AgentScaler, Address: "scaler-x"})
	c.Want(exit.OK, []string{"status"}, "agents of several versions: not known: scaler scaler-x; v2: broker 10.0.0.1:7480, scaler 10.0.0.1:7481\n")
	c.Want(exit.OK, []string{"status", "-o", "json"}, `"version": "v2"`)
}

// TestStatusTellsOfAZoneWithoutAScaler: its pools are full for now, and nobody keeps them.
func TestStatusTellsOfAZoneWithoutAScaler(t *testing.T) {
	c := clitest.New(t, "")
	zone := func(known, trusted bool, pools ...status.PoolStatus) {
		c.Broker.StatusNow = status.Status{Health: status.HealthOK, Zones: []status.ZoneStatus{{Name: "east", Known: known, Trusted: trusted, Pools: pools}}}
	}
	pool := status.PoolStatus{Pool: status.Pool{Config: staging.Config{Name: "p", Zone: "east", Image: "demo"}}}
	zone(true, false, pool)
	c.Want(exit.Unwell, []string{"status"}, "not all is well", "! no scaler is at work in zone east")
	c.Want(exit.Unwell, []string{"status", "--json"}, `"well": false`)
	zone(true, true, pool)
	c.Broker.ZoneByName["east"] = staging.Zone{Name: "east"}
	c.Want(exit.OK, []string{"status"}, "all is well", "; 1 zone, 0 pools\n")
	zone(true, false)
	c.Want(exit.OK, []string{"status"}, "all is well")
	for _, command := range []string{"status", "staging"} {
		c.Want(exit.OK, []string{command, "--help"}, "full:", "filling:", "short:", "bare:")
	}
	// What is wrong with a pool is said in the broker's words, which the page shows, too.
	short := pool
	short.Fill, short.Lack = staging.Short, "1 of 2 ready"
	failing := pool
	failing.Name, failing.Conditions = "q", []staging.Condition{{Type: staging.CrashLooping, Message: "task main: exit code 3"}}
	zone(true, true, short, failing)
	out := c.Want(exit.Unwell, []string{"status"})
	for _, reason := range c.Broker.StatusNow.Judged().Reasons {
		if !strings.Contains(out, "! "+reason+"\n") {
			t.Errorf("%q is not in\n%s", reason, out)
		}
	}
	if n := strings.Count(out, "\n! "); n != 2 {
		t.Errorf("%d problems:\n%s", n, out)
	}
	zone(true, false)
	c.Broker.RedisProblem = "does not answer"
	c.Want(exit.Unwell, []string{"status"}, "! redis does not answer")
	c.Broker.RedisProblem = ""
	zone(false, false, pool)
	c.Want(exit.OK, []string{"status"})
}

func TestSessionsCommand(t *testing.T) {
	c := clitest.New(t, "")
	s := clitest.UserSession()
	s.User.Name = "\x1b[2Jmallory"
	c.Broker.SessionList = []staging.Session{s, {ID: "gr-2", State: staging.Pending, Origin: staging.Staged, Zone: "west", Image: "demo", CreatedAt: time.Now()}}
	out := c.Want(exit.OK, []string{"sessions"}, "ID", "STATE", "gr-1", "gr-2", "http=127.0.0.1:23817", `"\x1b[2Jmallory"`)
	if strings.Contains(out, "\x1b") {
		t.Error("a user's name reaches the terminal as a command to it")
	}
	if list := c.Want(exit.OK, []string{"sessions", "list"}); strings.Count(list, "\n") != 3 {
		t.Errorf("list:\n%s", list)
	}
	var items struct{ Items []httpapi.Session }
	if err := json.Unmarshal([]byte(c.Want(exit.OK, []string{"sessions", "-o", "json"})), &items); err != nil || len(items.Items) != 2 {
		t.Errorf("-o json: %v %+v", err, items)
	}
	c.Want(exit.OK, []string{"sessions", "show", "gr-1"}, "user id", "u-1", "demo-east", "2026-11-24T06:20:00Z")
	c.Broker.Failing = staging.NewFailingCheck("port answers", "dial tcp 127.0.0.1:23456: connect: connection refused")
	c.Want(exit.OK, []string{"sessions", "show", "gr-1"}, `failing check`, `check "port answers" fails: dial tcp 127.0.0.1:23456: connect: connection refused`)
	// The user's id is beside the name, and the rest is for those who ask for it.
	if out := c.Want(exit.OK, []string{"sessions"}, "USER ID", "u-1"); strings.Contains(out, "REVISION") {
		t.Errorf("a table has the columns of -o wide:\n%s", out)
	}
	c.Want(exit.OK, []string{"sessions", "-o", "wide"}, "STAGING", "REVISION", "NODE", "demo-east")
	if out := c.Want(exit.OK, []string{"sessions", "-o", "name"}); out != "gr-1\ngr-2\n" {
		t.Errorf("-o name: %q", out)
	}
	c.Want(exit.OK, []string{"sessions", "-o", "yaml"}, "items:\n  - ", "id: gr-1\n", "http: 23817\n")
	c.Want(exit.Usage, []string{"status", "-o", "name"}, "--output: must be one of table, json, yaml", "name")
}

// TestEndedSessionsAreListed: each with when it ended and why; none of them can be ended.
func TestEndedSessionsAreListed(t *testing.T) {
	c := clitest.New(t, "")
	s := clitest.UserSession()
	s.State, s.EndedAt, s.Reason = staging.Ended, s.CreatedAt.Add(90*time.Second), "failed: task main failed: Exit Code: 3; the last line of its stderr: no such file: /etc/desk.conf"
	c.Broker.SessionList = []staging.Session{s}
	ended := []string{"sessions", "--state", "ended"}
	out := c.Want(exit.OK, ended, "ENDED", "REASON", "gr-1", "demo-east", "u-1", "no such file: /etc/desk.conf")
	if strings.Contains(out, "ADDRESS") || strings.Contains(out, "LIVED") {
		t.Errorf("the table of ended sessions:\n%s", out)
	}
	if !c.Broker.Filter.Ended() {
		t.Errorf("asked for %+v", c.Broker.Filter)
	}
	c.Want(exit.OK, append(ended, "-o", "wide"), "LIVED", "1m30s")
	c.Want(exit.OK, append(ended, "-o", "name"), "gr-1\n")
	c.Want(exit.Invalid, []string{"sessions", "--state", "ended,ready"}, "state", "a list of their own")
	// Those that failed, by one flag.
	expired, unhealthy := s, s
	expired.ID, expired.Reason = "gr-2", "expired"
	unhealthy.ID, unhealthy.Reason = "gr-3", staging.ReasonUnhealthy+"its checks stopped passing"
	c.Broker.SessionList = append(c.Broker.SessionList, expired, unhealthy)
	if out := c.Want(exit.OK, []string{"sessions", "--failed", "-o", "name"}); out != "gr-1\ngr-3\n" || !c.Broker.Filter.Ended() {
		t.Errorf("--failed: %q, asked for %+v", out, c.Broker.Filter)
	}
	c.Want(exit.OK, []string{"sessions", "--failed", "--state", "ended"}, "REASON", "gr-3")
	c.Want(exit.Usage, []string{"sessions", "--failed", "--state", "ready"}, "--failed", "leave --state out")
	c.Want(exit.Usage, []string{"sessions", "end", "--state", "ended", "--yes"}, "--state", "cannot be ended")
}

// TestSessionsShowHasTheWayIn: the link, by the image's template, and when the session ends.
func TestSessionsShowHasTheWayIn(t *testing.T) {
	c := clitest.New(t, "")
	s := clitest.UserSession()
	s.Revision = "6f1d0a9c2b7e"
	s.Terms = staging.Terms{TimeLimit: staging.Duration(8 * time.Hour), Keepalive: staging.Duration(5 * time.Minute), Groups: "staff,students"}
	c.Broker.SessionList = []staging.Session{s}
	show := []string{"sessions", "show", "gr-1"}
	c.Want(exit.OK, show, "revision", "6f1d0a9c2b7e", "ends ", "2026-11-24T14:20:00Z", "keepalive_expiration=5m0s session_time_limit=8h0m0s", "groups ", "staff, students")
	c.Broker.SessionList[0].Unvisited, c.Broker.SessionList[0].Terms.Unvisited = true, staging.Duration(10*time.Minute)
	c.Want(exit.OK, show, "visited", "never", "ends unless its user opens it", "2026-11-24T06:30:00Z")
	c.Want(exit.OK, []string{"sessions", "-o", "wide"}, "VISITED", "never")
	c.Want(exit.OK, append(show, "-o", "json"), "\"groups\": [\n", `"students"`)
	c.Broker.ImageByName["demo"] = staging.Image{Name: "demo", ConnectURL: "http://{address}:{port_http}/?token={token}"}
	c.Want(exit.OK, show, "connect", "http://127.0.0.1:23817/?token=TOKEN (the launch's answer has the TOKEN)")
	c.Broker.ImageByName["demo"] = staging.Image{Name: "demo", ConnectURL: "http://{address}:{port_http}/"}
	c.Want(exit.OK, show, "connect", "http://127.0.0.1:23817/\n")
}

// TestSeveralSessionsEnd: by their ids, or those that flags select, once that is confirmed.
func TestSeveralSessionsEnd(t *testing.T) {
	c := clitest.New(t, "")
	pending := staging.Session{ID: "gr-2", State: staging.Pending, Origin: staging.Staged, Zone: "west", Image: "demo", Staging: "demo-east", CreatedAt: time.Now()}
	c.Broker.SessionList = []staging.Session{clitest.UserSession(), pending}
	ended := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, c.Broker.Ended); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
		c.Broker.Ended = nil
	}
	c.Want(exit.OK, []string{"sessions", "end", "gr-1"}, "gr-1 is being ended")
	ended("gr-1")
	c.Want(exit.NotFound, []string{"sessions", "end", "gr-1", "gr-3", "gr-2"}, "gr-1 is being ended", "gr-3", "gr-2 is being ended")
	ended("gr-1", "gr-2")
	c.Want(exit.Usage, []string{"sessions", "end"}, "--user")
	c.Want(exit.Usage, []string{"sessions", "end", "gr-1", "--user", "u-1"}, "not both")
	c.Stdin = "no\n"
	c.Want(exit.Declined, []string{"sessions", "end", "--user", "u-1"}, "Sessions to end: 1, of which users have 1.", "gr-1", "u-1", "not confirmed")
	ended()
	if c.Broker.Filter.User != "u-1" {
		t.Errorf("selected by %+v", c.Broker.Filter)
	}
	c.Stdin = "yes\n"
	c.Want(exit.OK, []string{"sessions", "end", "--user", "u-1"}, "gr-1 is being ended")
	ended("gr-1")
	c.Stdin = ""
	c.Want(exit.Declined, []string{"sessions", "end", "--image", "demo"}, "Sessions to end: 2, of which users have 1.", "--yes")
	c.Want(exit.OK, []string{"sessions", "end", "--staging", "demo-east", "--yes", "-o", "json"}, `"id": "gr-1"`)
	ended("gr-1", "gr-2")
	c.Want(exit.Failed, []string{"sessions", "end", "gr-1", "--wait", "--timeout", "1ms"}, "gr-1 is being ended", "session gr-1 is still assigned, after 1ms")
	c.Broker.SessionList[0].State = staging.Ended
	c.Want(exit.OK, []string{"sessions", "end", "gr-1", "--wait"}, "gr-1 had ended already")
	ended("gr-1")
	// A name in place of an id selects nothing, and is no reason to believe that all went well.
	for _, args := range [][]string{{"sessions", "end", "--user", "alice", "--yes"}, {"sessions", "--user", "alice"}} {
		c.Want(exit.NotFound, args, `"alice"`, "the name of user u-1: --user takes the id")
	}
	c.Broker.SessionList = nil
	c.Want(exit.OK, []string{"sessions", "end", "--user", "u-2"}, "nothing ends")
	ended()
}

func TestStagingCommand(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.ConfigByName["demo-east"] = staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3, Expiration: staging.Duration(24 * time.Hour)}
	c.Want(exit.OK, []string{"staging"}, "DESIRED", "CURRENT", "READY", "UPDATED", "demo-east", "CapacityExhausted")
	c.Broker.Updated = &status.Updated{Current: 1, Ready: 1}
	c.Want(exit.OK, []string{"staging", "-o", "wide"}, "1 of 2", "REVISION", "6f1d0a9c2b7e")
	c.Want(exit.OK, []string{"staging", "show", "demo-east"}, "updated", "1 of 2", "revision", "6f1d0a9c2b7e")
	c.Want(exit.OK, []string{"watch", "-n", "1"}, "UPDATED", "1 of 2")
	c.Want(exit.OK, []string{"staging", "show", "demo-east"}, "24h0m0s", "not enough memory")
	c.Want(exit.NotFound, []string{"staging", "show", "none"}, "none")
	var items struct{ Items []httpapi.StagingPool }
	if err := json.Unmarshal([]byte(c.Want(exit.OK, []string{"staging", "-o", "json"})), &items); err != nil || items.Items[0].ReadySessions != 1 {
		t.Errorf("-o json: %v %+v", err, items)
	}
}

func TestSecretsRotate(t *testing.T) {
	c := clitest.New(t, "")
	c.Want(exit.OK, []string{"secrets", "rotate"}, "from 2026-11-24T06:20:00Z on", "accepted until 2026-11-25T06:20:00Z")
	c.Want(exit.OK, []string{"secrets", "rotate", "--overlap", "0s", "-o", "json"}, `"accepted_until"`, "2026-11-24T06:20:00Z")
	for _, overlap := range []string{"soon", "-1s", "9000h"} {
		c.Want(exit.Usage, []string{"secrets", "rotate", "--overlap=" + overlap}, "--overlap")
	}
	c.Broker.Err = &refusal.Error{Kind: refusal.ConsulUnavailable, Detail: "Consul does not answer"}
	c.Want(exit.Unavailable, []string{"secrets", "rotate"}, "Consul does not answer")
}

// TestALaunchSaysPlacingOnlyWhereASessionIsPlaced, and which check it waits for. A staged
// session is not placed, however long its hook takes.
func TestALaunchSaysPlacingOnlyWhereASessionIsPlaced(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.Calls = make(chan string, 100)
	user := &staging.User{ID: "alice", Name: "alice"}
	c.Broker.Result = launching.Result{Session: clitest.UserSession(), Attempts: []staging.Attempt{{Step: staging.StepStaged, Zone: "east", Outcome: staging.OutcomeServed}}}
	next := func(want string) {
		for got := range c.Broker.Calls {
			if got == want {
				return
			}
		}
	}
	args := []string{"launch", "demo", "--zone", "east", "--user", "alice"}
	c.Broker.SessionList = []staging.Session{{ID: "gr-1", State: staging.Claimed, Origin: staging.Staged, Image: "demo", User: user, CreatedAt: time.Now()}}
	c.Broker.During = func() {
		next("List")
		next("List") // what the first one shows was printed
	}
	if code, _, errs := c.Run(args...); code != exit.OK || errs != "" {
		t.Errorf("staged: %d %q", code, errs)
	}
	c.Broker.SessionList = []staging.Session{{ID: "gr-2", State: staging.Starting, Origin: staging.OnDemand, Zone: "west", Image: "demo", User: user, CreatedAt: time.Now()}}
	c.Broker.Failing = staging.NewFailingCheck("http", "connection refused")
	c.Broker.During = func() {
		next("FailingCheck")
		next("List")
	}
	_, _, errs := c.Run(args...)
	for _, want := range []string{"placing   image demo in zone west", "starting  gr-2 in zone west", `waiting   check "http" fails: connection refused`} {
		if strings.Count(errs, want) != 1 {
			t.Errorf("on demand, without %q once:\n%s", want, errs)
		}
	}
}

// TestASessionsLink is printed for people and for programs; a broker without a gateway says so. A
// launch prints one, too.
func TestASessionsLink(t *testing.T) {
	c := clitest.WithGateway(t)
	c.Broker.SessionList = []staging.Session{clitest.UserSession()}
	link := []string{"sessions", "link", "gr-1"}
	const plain = "https://desk.example.org/s/gr-1?port=&to="
	c.Want(exit.OK, link, "connect", plain, "counts until", "2026-11-24T06:21:00Z")
	if out := c.Want(exit.OK, append(link, "--port", "metrics", "--path", "/graph", "-o", "name")); out != "https://desk.example.org/s/gr-1?port=metrics&to=/graph\n" {
		t.Errorf("-o name prints %q", out)
	}
	c.Want(exit.OK, append(link, "-o", "json"), "\"url\": \"https://desk.example.org/s/gr-1?port=", `"expires_at": "2026-11-24T06:21:00Z"`)
	c.Want(exit.NotFound, []string{"sessions", "link", "gr-2"}, "gr-2")
	c.Broker.Result = launching.Result{Session: clitest.UserSession()}
	c.Want(exit.OK, []string{"launch", "demo", "--zone", "east", "--user", "alice"}, "connect", plain)
	without := clitest.New(t, "")
	without.Broker.SessionList = c.Broker.SessionList
	without.Want(exit.Refused, link, "knows no gateway")
}
