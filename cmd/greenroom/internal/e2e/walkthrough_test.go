package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/walkthrough"
)

// notRun lists, for every document of the checkout, the commands that no test runs as
// they are written, and why. A command that a document shows and this list does not is
// run; an entry that its document no longer shows is an error.
var notRun = map[string][]walkthrough.NotRun{
	"README.md": {
		{Reason: "these tests are what make test runs, on servers that make dev's code starts", Commands: []string{"make dev", "make test", "make build"}},
		{Reason: "it writes into the checkout: make lint compares its result", Commands: []string{"make generate"}},
		{Reason: "it injects faults for ten minutes", Commands: []string{"make torture"}},
		{Reason: "three sessions must be ready: the tests of launches for several run it", Commands: []string{
			"greenroom launch demo --zone east --user teacher --count 3 --together",
		}},
		{Reason: "status exits by the state of the pools, and watch does not end: TestAnOperatorsCommandsOnRealServers runs both", Commands: []string{
			"greenroom status", "greenroom watch",
		}},
		{Reason: "it does not end: TestEvents of the command line follows", Commands: []string{"greenroom events -f"}},
		{Reason: "REVISION is a placeholder: TestARolloutIsToldUntilItIsDone has it", Commands: []string{"greenroom sessions --revision REVISION -o wide"}},
		{Reason: "SESSION and COMMAND are placeholders: jobspecs/README.md has exec with a session, TestAnOperatorsCommandsOnRealServers both", Commands: []string{
			"greenroom logs SESSION", "greenroom exec SESSION -- COMMAND", "greenroom exec",
		}},
		{Reason: "DIR is a placeholder: jobspecs/README.md has both with files, TestTheReadmesResourcesApply applies README.md's", Commands: []string{
			"greenroom plan -f DIR", "greenroom apply -f DIR", "greenroom apply",
		}},
		{Reason: "NAME is a placeholder: TestAnOperatorsCommandsOnRealServers deletes its own", Commands: []string{"greenroom delete staging NAME --wait"}},
		{Reason: "it puts a load on the servers: the tests of bench run it", Commands: []string{
			"greenroom bench --image demo --zone east", "greenroom bench floor", "greenroom bench",
		}},
		{Reason: "it takes half an hour", Commands: []string{"make bench"}},
		{Reason: "FILE and DIRECTORY are placeholders for demand series, which are not part of the checkout: TestSimulateCommand has one of its own", Commands: []string{
			"greenroom simulate --demand FILE.csv --refill 60s", "make bench-sizing DEMAND=DIRECTORY",
		}},
		{Reason: "it is for the reader's own broker: the tests of tokens run it", Commands: []string{
			"greenroom broker --access", "greenroom bootstrap", "greenroom token create",
		}},
	},
	"jobspecs/README.md": {
		{Reason: "it needs Nomad's own command line, and the demo of every test is this job", Commands: []string{
			"nomad job run -var command=$PWD/bin/demo-session jobspecs/demo-raw-exec.nomad.hcl",
		}},
		{Reason: "the test has started a greenroom dev", Commands: []string{"make dev"}},
		{Reason: "the text only names it: TestARestartedSessionIsItsUsersAgain restarts a session", Commands: []string{"nomad alloc restart"}},
		{Reason: "the text only names them: the tests of the command line run them", Commands: []string{
			"greenroom staging show", "greenroom sessions show",
		}},
	},
	"broker/httpapi/README.md": {
		{Reason: "the test has started a greenroom dev", Commands: []string{"make dev"}},
	},
	"deploy/README.md": {
		{Reason: "they write into the checkout or check it: internal/lint's tests run both", Commands: []string{"make sbom", "make lint"}},
		{Reason: "FILE is a placeholder: TestTokensOfSeveralBrokers verifies a broker's log", Commands: []string{"greenroom audit verify FILE"}},
		{Reason: "these are the tests beside the document", Commands: []string{"go test ./deploy"}},
		{Reason: "it builds what the nodes of a cluster get: the tests of the jobs build theirs", Commands: []string{
			"CGO_ENABLED=0 go build -trimpath -o greenroom ./cmd/greenroom",
			`tar -c greenroom | docker import --change 'ENTRYPOINT ["/greenroom"]' --change 'USER 65534' - greenroom:local`,
		}},
		{Reason: "it needs servers with access control: deploy.TestTheJobsServe runs it there, with their addresses", Commands: []string{
			"nomad namespace apply -description \"greenroom's own jobs\" greenroom", "export NOMAD_NAMESPACE=greenroom",
			"nomad acl policy apply -namespace greenroom -job greenroom-broker greenroom-broker acl/nomad-broker.policy.hcl",
			"nomad acl policy apply -namespace greenroom -job greenroom-scaler greenroom-scaler acl/nomad-scaler.policy.hcl",
			"consul acl policy create -name greenroom-broker -rules @acl/consul-broker.policy.hcl",
			"consul acl policy create -name greenroom-scaler -rules @acl/consul-scaler.policy.hcl",
			`consul acl token create -description "greenroom broker" -policy-name greenroom-broker`,
			`consul acl token create -description "greenroom scaler" -policy-name greenroom-scaler`,
			"nomad var put nomad/jobs/greenroom-broker consul_token=SECRET_ID redis_password=PASSWORD broker_token=TOKEN",
			"nomad var put nomad/jobs/greenroom-scaler consul_token=SECRET_ID redis_password=PASSWORD",
			"nomad job run -var-file=greenroom.vars nomad/greenroom-scaler.nomad.hcl",
			"nomad job run -var-file=greenroom.vars -var count=2 nomad/greenroom-broker.nomad.hcl",
		}},
		{Reason: "it does not end: TestAWebSocketLivesAsLongAsItsSession runs two", Commands: []string{"greenroom gateway"}},
		{Reason: "it needs servers with access control", Commands: []string{
			"nomad acl token create -name greenroom-broker -policy greenroom-broker",
		}},
		{Reason: "it needs agents that Nomad runs", Commands: []string{
			"nomad alloc logs -stderr -job greenroom-broker",
			"nomad job restart -yes greenroom-scaler",
			"nomad job restart -yes greenroom-broker",
		}},
		{Reason: "it is for a broker without GREENROOM_TOKEN: the tests of tokens run it", Commands: []string{
			"greenroom bootstrap", "consul kv delete greenroom/bootstrap",
		}},
		{Reason: "it would signal every greenroom on the machine: TestTheLogLevelChangesWhileAnAgentRuns signals its own", Commands: []string{
			"kill -HUP $(pidof greenroom)",
		}},
		{Reason: "it removes a cluster's sessions, its agents and all that they stored", Commands: []string{
			"greenroom delete staging NAME... --wait", "greenroom sessions end --state assigned",
			"nomad job status -namespace '*' gr-", "nomad namespace delete greenroom",
			"nomad job stop -purge greenroom-broker",
			"nomad job stop -purge greenroom-scaler",
			"nomad var purge nomad/jobs/greenroom-broker",
			"nomad var purge nomad/jobs/greenroom-scaler",
			"nomad acl policy delete greenroom-broker",
			"nomad acl policy delete greenroom-scaler",
			"consul acl token delete -accessor-id ACCESSOR_ID",
			"consul acl policy delete -name greenroom-broker",
			"consul acl policy delete -name greenroom-scaler",
			"consul kv delete -recurse greenroom/",
			`curl -s -X PUT http://NODE:8500/v1/catalog/deregister -d '{"Node": "greenroom-sessions"}'`,
			"redis-cli --scan --pattern 'greenroom:*' | xargs -r redis-cli del",
		}},
		{Reason: "it names a quarantined session, of which this cluster has none: the tests of quarantine end theirs", Commands: []string{
			"greenroom logs ID", "greenroom sessions end ID",
		}},
		{Reason: "it is named without what it is for", Commands: []string{"greenroom exec", "greenroom logs"}},
		{Reason: "it is for the time after a disaster: the tests of installations run it", Commands: []string{
			"greenroom installation recover ID", "greenroom installation take-over ID",
		}},
	},
	"PROMISES.md": {
		{Reason: "the document names tests, and shows no steps", Commands: []string{
			"make test", "make lint", "make torture", "greenroom bench", "greenroom apply",
		}},
	},
}

// addresses are where the readers of the documents find their servers.
type addresses struct{ broker, guarded, scaler, nomad, token string }

type document struct {
	path    string
	replace func(addresses) []string
}

// documents are those whose commands are run, with the texts that a reader replaces, each
// with its replacement.
var documents = []document{
	{"README.md", func(a addresses) []string { return []string{"http://127.0.0.1:PORT", a.broker} }},
	{"jobspecs/README.md", func(a addresses) []string {
		return []string{"http://127.0.0.1:PORT", a.broker, "http://127.0.0.1:NOMAD", a.nomad}
	}},
	{"broker/httpapi/README.md", func(a addresses) []string { return []string{"http://127.0.0.1:PORT", a.broker} }},
	{"deploy/README.md", func(a addresses) []string {
		return []string{
			"http://NODE:7480", a.guarded, "http://NODE:7481", a.scaler,
			"GREENROOM_TOKEN=TOKEN", "GREENROOM_TOKEN=" + a.token, "Bearer TOKEN", "Bearer " + a.token,
		}
	}},
}

// checkout returns the top of the checkout.
func checkout(t *testing.T) string {
	t.Helper()
	dir := "."
	for range 8 {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Join("..", dir)
	}
	t.Fatal("no go.mod in any directory above this one")
	return ""
}

// TestEveryCommandOfADocumentIsRunOrListed reads every Markdown file of the checkout. A
// document that is not in documents may show only commands that notRun lists. Whether the
// other commands succeed is for TestTheDocumentsCommandsRun.
func TestEveryCommandOfADocumentIsRunOrListed(t *testing.T) {
	top := checkout(t)
	unseen := map[string]bool{}
	for path := range notRun {
		unseen[path] = true
	}
	for _, doc := range documents {
		unseen[doc.path] = true
	}
	must(t, filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if d.Name() == "PROMISES.md" {
			name = d.Name() // it is listed by its name, wherever these tests are
		}
		delete(unseen, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		steps, err := walkthrough.Read(string(text), notRun[name]...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range steps {
			if run := slices.ContainsFunc(documents, func(d document) bool { return d.path == name }); !run {
				t.Errorf("%s, line %d: no test runs it and notRun does not list it: %s", name, s.Line, s.Commands)
			}
		}
		return nil
	}))
	for name := range unseen {
		t.Errorf("there is no document %s any more", name)
	}
}

// TestTheDocumentsCommandsRun runs the documents' commands as they are written, on a
// greenroom dev. deploy/README.md gets a broker that guards access.
func TestTheDocumentsCommandsRun(t *testing.T) {
	d := sharedDev(t)
	const token = "an-administrators"
	t.Setenv("GREENROOM_TOKEN", token)
	guarded := startAgent(t, &devcluster.Cluster{
		NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://"),
	}, "broker", "--allow-open-consul")
	where := addresses{broker: d.Broker, guarded: "http://" + guarded.address, scaler: d.scaler(t), nomad: d.Nomad, token: token}
	for _, doc := range documents {
		t.Run(doc.path, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(checkout(t), doc.path))
			must(t, err)
			steps, err := walkthrough.Read(string(text), notRun[doc.path]...)
			must(t, err)
			d.untilReady(t, "demo-east", 3)
			// The reader's checkout, with the programs that make build writes.
			dir := t.TempDir()
			must(t, os.Symlink(bin, filepath.Join(dir, "bin")))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var env []string
			for _, kv := range os.Environ() {
				if !strings.HasPrefix(kv, "GREENROOM_") && !strings.HasPrefix(kv, "NOMAD_") && !strings.HasPrefix(kv, "PATH=") {
					env = append(env, kv)
				}
			}
			env = append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			t.Cleanup(func() { d.endUsers(t) })
			transcript, err := walkthrough.Reader{Dir: dir, Env: env, Replace: doc.replace(where)}.Do(ctx, steps)
			if err != nil {
				t.Fatalf("%s: %v\n%s", doc.path, err, transcript)
			}
			if path := os.Getenv("GREENROOM_TEST_LOGS"); path != "" {
				must(t, os.WriteFile(filepath.Join(path, strings.ReplaceAll(doc.path, "/", "-")+".txt"), []byte(transcript), 0o644))
			}
		})
	}
}

// endUsers ends the demo's sessions that readers launched.
func (d *devProcess) endUsers(t *testing.T) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	d.ask(t, "GET", "/v1/sessions?limit=1000&image=demo&state=assigned", nil, 200, &list)
	for _, s := range list.Items {
		d.ask(t, "DELETE", "/v1/sessions/"+s.ID, nil, 204, nil)
	}
}
