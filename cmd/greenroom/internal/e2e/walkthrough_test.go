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
		{Reason: "these tests are what make test runs, on servers that make dev's code starts", Commands: []string{"make dev", "make test", "make deploy-test", "make build"}},
		{Reason: "the tests of the desktop run what it runs", Commands: []string{"make desktop"}},
		{Reason: "it writes into the checkout: make lint compares its result", Commands: []string{"make generate"}},
		{Reason: "it injects faults for ten minutes", Commands: []string{"make torture"}},
		{Reason: "three sessions must be ready: the tests of launches for several run it", Commands: []string{
			"greenroom launch demo --zone east --user teacher --count 3 --together",
		}},
		{Reason: "no image of the demo has labels: TestALaunchByLabelsGetsTheFullestPool launches so", Commands: []string{
			"greenroom launch --selector tier=gold",
		}},
		{Reason: "status exits by the state of the pools, and watch does not end: TestAnOperatorsCommandsOnRealServers runs both", Commands: []string{
			"greenroom status", "greenroom watch",
		}},
		{Reason: "it does not end: TestEvents of the command line follows", Commands: []string{"greenroom events -f"}},
		{Reason: "REVISION is a placeholder: TestARolloutIsToldUntilItIsDone has it", Commands: []string{"greenroom sessions --revision REVISION -o wide"}},
		{Reason: "SESSION and COMMAND are placeholders: jobspecs/README.md has exec with a session, TestAnOperatorsCommandsOnRealServers both", Commands: []string{
			"greenroom logs SESSION", "greenroom exec SESSION -- COMMAND", "greenroom exec",
		}},
		{Reason: "SESSION is a placeholder: TestALaunchLeadsIntoTheSession has one", Commands: []string{"greenroom sessions link SESSION"}},
		{Reason: "SESSION is a placeholder: TestExtend of the command line has one", Commands: []string{"greenroom extend SESSION --by 30m"}},
		{Reason: "DIR is a placeholder: jobspecs/README.md has both with files, TestTheReadmesResourcesApply applies README.md's", Commands: []string{
			"greenroom plan -f DIR", "greenroom apply -f DIR", "greenroom apply",
		}},
		{Reason: "NAME is a placeholder: TestAnOperatorsCommandsOnRealServers deletes its own", Commands: []string{"greenroom delete staging NAME --wait", "greenroom delete staging/NAME image/NAME"}},
		{Reason: "FILE is a placeholder: deploy/upgrade.TestBackupAndRestore has some", Commands: []string{
			"greenroom backup FILE", "greenroom restore FILE --dry-run", "greenroom restore FILE",
		}},
		{Reason: "it puts a load on the servers: the tests of bench run it", Commands: []string{
			"greenroom bench --image demo --zone east", "greenroom bench floor", "greenroom bench",
		}},
		{Reason: "they take half an hour, and four minutes", Commands: []string{"make bench", "make bench-quick"}},
		{Reason: "FILE and DIRECTORY are placeholders for demand series, which are not part of the checkout: TestSimulateCommand has one of its own", Commands: []string{
			"greenroom simulate --demand FILE.csv --refill 60s", "make bench-sizing DEMAND=DIRECTORY",
		}},
		{Reason: "it needs a history of some hours: TestSimulateOnAPoolsHistory has one", Commands: []string{"greenroom simulate demo-east"}},
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
			"greenroom staging show", "greenroom sessions show", "greenroom why",
		}},
		{Reason: "NAME and SESSION are placeholders: the tests of failing and recycled pools have some", Commands: []string{
			"greenroom why NAME", "greenroom staging retry NAME", "greenroom staging recycle NAME", "greenroom logs SESSION --stderr",
		}},
	},
	"jobspecs/desktop/README.md": {
		{Reason: "the test has started a greenroom dev", Commands: []string{"make dev"}},
		{Reason: "the tests of the desktop build its image, apply these files and launch sessions of it", Commands: []string{
			"make desktop", "greenroom apply -f jobspecs/desktop --wait",
			"export PATH=$PWD/bin:$PATH GREENROOM_ADDR=http://127.0.0.1:7480",
			"greenroom launch desktop --zone east --user alice --url https://example.org -o json",
		}},
		{Reason: "it makes the image anew, in minutes", Commands: []string{"FRESH=1 make desktop"}},
		{Reason: "make test begins with it", Commands: []string{"make setup"}},
		{Reason: "they are named without what they are for", Commands: []string{"docker save", "docker load"}},
	},
	"broker/httpapi/README.md": {
		{Reason: "the test has started a greenroom dev", Commands: []string{"make dev"}},
	},
	"deploy/pack/greenroom/README.md": {
		{Reason: "it writes into the checkout: make lint compares its result", Commands: []string{"make generate"}},
	},
	"deploy/README.md": {
		{Reason: "they write into the checkout or check it: internal/lint's tests run both", Commands: []string{"make sbom", "make lint"}},
		{Reason: "FILE is a placeholder: TestTokensOfSeveralBrokers verifies a broker's log", Commands: []string{"greenroom audit verify FILE"}},
		{Reason: "these are the tests beside the document", Commands: []string{"make deploy-test"}},
		{Reason: "it asks for a password: deploy/failover.TestRedisFailsOverWhileCallersLaunch has the admin's", Commands: []string{
			"redis-cli -h NODE --user admin --askpass ping",
		}},
		{Reason: "it is named without its nodes: deploy/failover.TestARedisClusterServesEverything runs it", Commands: []string{"redis-cli --cluster create"}},
		{Reason: "it warns of what a development cluster leaves open: doctor.TestDoctorOnRealServers runs it", Commands: []string{
			"greenroom doctor", "../bin/greenroom doctor",
		}},
		{Reason: "they change the machine, and need root and systemd", Commands: []string{
			"install -m 0755 ../bin/greenroom /usr/local/bin/greenroom",
			"install -m 0644 systemd/greenroom@.service /etc/systemd/system/",
			"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin greenroom",
			"install -d -m 0755 /etc/greenroom", "install -m 0600 /dev/null /etc/greenroom/broker.env",
			"systemctl daemon-reload", "systemctl enable --now greenroom@broker", "consul reload",
		}},
		{Reason: "they need Docker and an image of a public registry: jobspecs/README.md has the same steps with files, and plan is run here", Commands: []string{
			"greenroom apply -f first --wait", "greenroom launch hello --zone east --user alice -o json | jq -r .connect_url",
		}},
		{Reason: "they build what the nodes of a cluster get: deploy.TestTheProgramIsReproducible and deploy.TestTheImageRunsAsNobody run them", Commands: []string{
			"make build", "make image",
		}},
		{Reason: "it needs a Redis on the nodes: deploy.TestTheRedisJobKeepsWhatItHas stores the password and runs the job", Commands: []string{
			"PASSWORD=$(openssl rand -hex 24)",
			"nomad var put nomad/jobs/greenroom-redis password=$PASSWORD",
			"nomad job run -var-file=redis.vars nomad/redis.nomad.hcl",
			"nomad var put nomad/jobs/greenroom-broker redis_password=$PASSWORD broker_token=TOKEN",
			"nomad var put nomad/jobs/greenroom-scaler redis_password=$PASSWORD",
			"nomad var put nomad/jobs/greenroom-gateway redis_password=$PASSWORD",
		}},
		{Reason: "it needs servers with access control: deploy.TestTheJobsServe runs it there, with their addresses", Commands: []string{
			"nomad namespace apply -description \"greenroom's own jobs\" greenroom", "export NOMAD_NAMESPACE=greenroom",
			"nomad acl policy apply -namespace greenroom -job greenroom-broker greenroom-broker acl/nomad-broker.policy.hcl",
			"nomad acl policy apply -namespace greenroom -job greenroom-scaler greenroom-scaler acl/nomad-scaler.policy.hcl",
			"nomad acl policy apply -namespace greenroom -job greenroom-gateway greenroom-gateway acl/nomad-gateway.policy.hcl",
			"consul acl policy create -name greenroom-broker -rules @acl/consul-broker.policy.hcl",
			"consul acl policy create -name greenroom-scaler -rules @acl/consul-scaler.policy.hcl",
			"consul acl policy create -name greenroom-gateway -rules @acl/consul-gateway.policy.hcl",
			"consul acl auth-method create -name nomad-workloads -type jwt -config @acl/consul-auth-method.json",
			`consul acl binding-rule create -method nomad-workloads -bind-type policy -bind-name greenroom-broker -selector 'value.nomad_namespace == "greenroom" and value.nomad_job_id == "greenroom-broker"'`,
			`consul acl binding-rule create -method nomad-workloads -bind-type policy -bind-name greenroom-scaler -selector 'value.nomad_namespace == "greenroom" and value.nomad_job_id == "greenroom-scaler"'`,
			`consul acl binding-rule create -method nomad-workloads -bind-type policy -bind-name greenroom-gateway -selector 'value.nomad_namespace == "greenroom" and value.nomad_job_id == "greenroom-gateway"'`,
			`consul acl token create -description "greenroom broker" -policy-name greenroom-broker`,
			`consul acl token create -description "greenroom scaler" -policy-name greenroom-scaler`,
			`consul acl token create -description "greenroom gateway" -policy-name greenroom-gateway`,
			"nomad var put nomad/jobs/greenroom-broker redis_user=greenroom-broker redis_password=PASSWORD broker_token=TOKEN",
			"nomad var put nomad/jobs/greenroom-scaler redis_user=greenroom-scaler redis_password=PASSWORD",
			"nomad var put nomad/jobs/greenroom-gateway redis_user=greenroom-gateway redis_password=PASSWORD",
			"nomad job run -var-file=greenroom.vars nomad/greenroom-scaler.nomad.hcl",
			"nomad job run -var-file=greenroom.vars -var gateway_url=https://desk.example.org nomad/greenroom-broker.nomad.hcl",
			"nomad job run -var-file=greenroom.vars -var gateway_url=https://desk.example.org nomad/greenroom-gateway.nomad.hcl",
		}},
		{Reason: "they need a region west: deploy.TestTheJobsServe stores a peer's token and runs the broker's job with the peer", Commands: []string{
			"nomad var get -out=json nomad/jobs/greenroom-broker | nomad var put -in=json - peer_tokens=west=TOKEN",
			`nomad job run -var-file=greenroom.vars -var 'peers={west="https://greenroom.west.example.org"}' nomad/greenroom-broker.nomad.hcl`,
		}},
		{Reason: "it needs servers with access control", Commands: []string{
			"for agent in broker scaler gateway; do",
			"nomad acl policy apply greenroom-$agent acl/nomad-$agent.policy.hcl",
			"nomad acl token create -name greenroom-$agent -policy greenroom-$agent",
			"consul acl policy create -name greenroom-$agent -rules @acl/consul-$agent.policy.hcl",
			`consul acl token create -description "greenroom on systemd: $agent" -policy-name greenroom-$agent`,
			"done",
			"nomad acl token create -name greenroom-broker -policy greenroom-broker", "consul acl auth-method list",
			"nomad setup consul", "nomad job restart -reschedule -yes greenroom-broker",
		}},
		{Reason: "DIR is a placeholder: jobspecs/README.md has it with files", Commands: []string{"greenroom plan -f DIR"}},
		{Reason: "they write a file: deploy/upgrade.TestBackupAndRestore runs them", Commands: []string{
			"greenroom backup --secrets greenroom.json", "greenroom restore --dry-run greenroom.json", "greenroom restore greenroom.json",
		}},
		{Reason: "it would take back what the test has stored: TestARestoredConsulGivesNobodysSessionAway restores a snapshot", Commands: []string{
			"consul snapshot save greenroom.snap", "consul snapshot restore greenroom.snap",
		}},
		{Reason: "status exits by the state of the pools: TestAnOperatorsCommandsOnRealServers runs it", Commands: []string{"greenroom status"}},
		{Reason: "it needs agents that Nomad runs", Commands: []string{
			"nomad var get -out json nomad/jobs/greenroom-broker | nomad var put -in json - redis_password=NEW",
			"nomad job status -namespace greenroom greenroom-scaler",
			"nomad alloc exec -namespace greenroom -task scaler ALLOC /greenroom doctor",
			"nomad alloc logs -stderr -job greenroom-broker",
			"nomad job restart -yes greenroom-scaler",
			"nomad job restart -yes greenroom-broker",
			"nomad job restart -yes greenroom-gateway",
		}},
		{Reason: "they need a receiver: TestDeadLettersAreSeenAndReplayed has one", Commands: []string{
			"greenroom webhooks test billing", "greenroom webhooks dead-letters billing", "greenroom webhooks replay billing",
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
			"nomad job stop -purge greenroom-gateway",
			"nomad job stop -purge greenroom-redis",
			`until nomad operator api '/v1/allocations?namespace=greenroom' | jq -e 'all(.TaskGroup == "redis" or (.ClientStatus != "running" and .ClientStatus != "pending"))'; do sleep 2; done`,
			`until nomad operator api '/v1/allocations?namespace=greenroom' | jq -e 'all(.ClientStatus != "running" and .ClientStatus != "pending")'; do sleep 2; done`,
			"nomad var purge nomad/jobs/greenroom-redis",
			"nomad var purge nomad/jobs/greenroom-broker",
			"nomad var purge nomad/jobs/greenroom-scaler",
			"nomad var purge nomad/jobs/greenroom-gateway",
			"nomad acl policy delete greenroom-broker",
			"nomad acl policy delete greenroom-scaler",
			"nomad acl policy delete greenroom-gateway",
			"consul acl binding-rule list -method nomad-workloads", "consul acl token list",
			"consul acl binding-rule delete -id RULE_ID", "consul acl token delete -accessor-id ACCESSOR_ID",
			"consul acl policy delete -name greenroom-broker",
			"consul acl policy delete -name greenroom-scaler",
			"consul acl policy delete -name greenroom-gateway",
			"consul kv delete -recurse greenroom/",
			`curl -fsS -X PUT -H "X-Consul-Token: $CONSUL_HTTP_TOKEN" -d '{"Node": "greenroom-sessions"}' "$CONSUL_HTTP_ADDR/v1/catalog/deregister"`,
			"export REDISCLI_AUTH=PASSWORD",
			"redis-cli -h REDIS --user USER --scan --pattern 'greenroom:*' | xargs -r redis-cli -h REDIS --user USER del",
		}},
		{Reason: "it names a quarantined session, of which this cluster has none: the tests of quarantine end theirs", Commands: []string{
			"greenroom logs ID", "greenroom sessions end ID",
		}},
		{Reason: "it is named without what it is for", Commands: []string{"greenroom exec", "greenroom logs"}},
		{Reason: "a pause would keep the commands that follow from their pools: TestAPauseHoldsUntilItIsResumed pauses its own", Commands: []string{
			"greenroom pause", "greenroom pause east", "greenroom pause demo-east", "greenroom pause --list", "greenroom resume",
		}},
		{Reason: "it is for the time after a disaster: the tests of installations run it", Commands: []string{
			"greenroom installation recover ID", "greenroom installation take-over ID",
		}},
	},
	"deploy/runbook/alerts.md": {
		{Reason: "status exits by the state of the pools, and doctor warns of what a development cluster leaves open: deploy/README.md has both", Commands: []string{
			"greenroom status", "greenroom doctor",
		}},
		{Reason: "they need agents that Nomad runs, and Nomad's own command line", Commands: []string{
			"nomad job status -namespace greenroom greenroom-scaler", "nomad alloc logs -namespace greenroom -stderr -job greenroom-scaler",
			"nomad job status -namespace greenroom greenroom-broker", "nomad alloc logs -namespace greenroom -stderr -job greenroom-broker",
			"nomad job status -namespace greenroom greenroom-gateway", "nomad alloc logs -namespace greenroom -stderr -job greenroom-gateway",
			"nomad acl policy info greenroom-scaler", "nomad server members", "nomad node status NODE", "nomad node drain -enable NODE",
		}},
		{Reason: "they need the servers' own command lines", Commands: []string{"consul operator raft list-peers", "nomad node status", "redis-cli -h NODE --user admin --askpass ping"}},
		{Reason: "DIR is a placeholder: jobspecs/README.md has it with files", Commands: []string{"greenroom apply -f DIR"}},
		{Reason: "ID is a placeholder of a quarantined session: the tests of quarantine end theirs", Commands: []string{"greenroom sessions end ID"}},
		{Reason: "it needs a history of some hours: TestSimulateOnAPoolsHistory has one", Commands: []string{"greenroom simulate demo-east"}},
		{Reason: "they need a receiver: TestDeadLettersAreSeenAndReplayed has one", Commands: []string{
			"greenroom webhooks dead-letters billing", "greenroom webhooks replay billing",
		}},
	},
	"deploy/runbook/README.md": {
		{Reason: "status exits by the state of the pools, and doctor warns of what a development cluster leaves open: deploy/README.md has both", Commands: []string{
			"greenroom status", "greenroom doctor",
		}},
		{Reason: "they need the servers' own command lines", Commands: []string{
			"consul operator raft list-peers", "nomad server members", "nomad node status", "redis-cli -h NODE --user admin ping", "redis-cli -h NODE --user admin info persistence",
			"nomad node drain -enable NODE",
		}},
		{Reason: "they need agents that Nomad runs, and Nomad's own command line", Commands: []string{
			"nomad job status -namespace greenroom greenroom-broker", "nomad alloc logs -namespace greenroom -stderr -job greenroom-broker",
			"nomad job status -namespace greenroom greenroom-scaler", "nomad job status -namespace greenroom greenroom-gateway",
			"nomad alloc exec -namespace greenroom -job greenroom-scaler /greenroom doctor",
			"nomad job restart -namespace greenroom -reschedule -yes greenroom-broker",
		}},
		{Reason: "FILE is a placeholder: deploy/upgrade.TestBackupAndRestore has some, TestARestoredConsulGivesNobodysSessionAway restores a snapshot", Commands: []string{
			"consul snapshot inspect FILE.snap", "consul snapshot restore FILE.snap",
			"greenroom restore --dry-run FILE.json", "greenroom restore FILE.json",
		}},
		{Reason: "a pause would keep the commands that follow from their pools: TestAPauseHoldsUntilItIsResumed pauses its own", Commands: []string{
			`greenroom pause --reason "works on the rack"`, "greenroom resume",
		}},
	},
	"deploy/sizing.md": {
		{Reason: "they are measurements, which take minutes", Commands: []string{
			"make bench", "make bench ROWS=Costs", "greenroom bench", "greenroom bench floor",
		}},
	},
	"PROMISES.md": {
		{Reason: "the document names tests, and shows no steps", Commands: []string{
			"make test", "make lint", "make torture", "greenroom bench", "greenroom apply", "greenroom why NAME",
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
	{"README.md", func(a addresses) []string { return []string{"http://127.0.0.1:7480", a.broker} }},
	{"jobspecs/README.md", func(a addresses) []string {
		return []string{"http://127.0.0.1:7480", a.broker, "http://127.0.0.1:NOMAD", a.nomad}
	}},
	{"broker/httpapi/README.md", func(a addresses) []string { return []string{"http://127.0.0.1:7480", a.broker} }},
	{"deploy/README.md", func(a addresses) []string {
		return []string{
			"http://NODE:7480", a.guarded, "http://NODE:7481", a.scaler,
			"GREENROOM_TOKEN=TOKEN", "GREENROOM_TOKEN=" + a.token, "Bearer TOKEN", "Bearer " + a.token,
		}
	}},
	{"deploy/runbook/README.md", func(a addresses) []string {
		return []string{"http://NODE:7480", a.guarded, "GREENROOM_TOKEN=TOKEN", "GREENROOM_TOKEN=" + a.token}
	}},
	{"deploy/runbook/alerts.md", func(a addresses) []string {
		return []string{"http://NODE:7480", a.guarded, "http://NODE:7481", a.scaler, "GREENROOM_TOKEN=TOKEN", "GREENROOM_TOKEN=" + a.token}
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
// greenroom dev. Those of deploy get a broker that guards access.
func TestTheDocumentsCommandsRun(t *testing.T) {
	d := sharedDev(t)
	const token = "an-administrators"
	t.Setenv("GREENROOM_TOKEN", token)
	guarded := startAgent(t, &devcluster.Cluster{
		NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://"),
	}, "broker", "--allow-open-consul")
	where := addresses{broker: d.Broker, guarded: "http://" + guarded.Address, scaler: d.scaler(t), nomad: d.Nomad, token: token}
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
