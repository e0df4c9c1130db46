package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/walkthrough"
)

// TestTheDocumentsCommandsRun does what the README.md files tell their readers to, as
// they are written, on a greenroom dev; operators have a broker that guards access.
func TestTheDocumentsCommandsRun(t *testing.T) {
	d := sharedDev(t)
	const token = "an-administrators"
	t.Setenv("GREENROOM_TOKEN", token)
	guarded := startAgent(t, &devcluster.Cluster{
		NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: strings.TrimPrefix(d.Redis, "redis://"),
	}, "broker")
	for _, doc := range []struct {
		path    string
		replace []string
	}{
		{"README.md", []string{"http://127.0.0.1:PORT", d.Broker}},
		{"jobspecs/README.md", []string{"http://127.0.0.1:PORT", d.Broker, "http://127.0.0.1:NOMAD", d.Nomad}},
		{"broker/httpapi/README.md", []string{"http://127.0.0.1:PORT", d.Broker}},
		{"deploy/README.md", []string{
			"http://NODE:7480", "http://" + guarded.address, "http://NODE:7481", d.scaler(t),
			"GREENROOM_TOKEN=TOKEN", "GREENROOM_TOKEN=" + token, "Bearer TOKEN", "Bearer " + token,
		}},
	} {
		t.Run(doc.path, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../../../..", doc.path))
			must(t, err)
			steps, err := walkthrough.Read(string(text))
			must(t, err)
			d.untilReady(t, "demo-east", 3)
			// The reader's checkout, with what make build put there.
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
			transcript, err := walkthrough.Reader{Dir: dir, Env: env, Replace: doc.replace}.Do(ctx, steps)
			if err != nil {
				t.Fatalf("%s: %v\n%s", doc.path, err, transcript)
			}
			if path := os.Getenv("GREENROOM_TEST_LOGS"); path != "" {
				must(t, os.WriteFile(filepath.Join(path, strings.ReplaceAll(doc.path, "/", "-")+".txt"), []byte(transcript), 0o644))
			}
		})
	}
}

// endUsers ends the demo's sessions that readers launched, which their pools go on without.
func (d *devProcess) endUsers(t *testing.T) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	d.ask(t, "GET", "/v1/sessions?limit=1000&image=demo&state=assigned", nil, 200, &list)
	for _, s := range list.Items {
		d.ask(t, "DELETE", "/v1/sessions/"+s.ID, nil, 204, nil)
	}
}
