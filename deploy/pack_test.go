package deploy_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// thePack is the pack's directory, with the layout of the registries of packs.
const thePack = "pack/greenroom"

// TestThePackIsTheJobFiles: what the pack renders is, for Nomad, what the job files are with the
// same values; it renders a gateway only where browsers can reach one.
func TestThePackIsTheJobFiles(t *testing.T) {
	for name, set := range map[string]struct {
		values map[string]any
		agents []string
	}{
		"what is needed": {map[string]any{"redis_address": "r:1"}, []string{"broker", "scaler"}},
		"every kind of value": {map[string]any{
			"redis_address": "r:1", "driver": "exec", "datacenters": []any{"dc1", "dc2"}, "gateway_tls": true, "allow_open_consul": true,
			"gateway_url": `https://desk.example.org/"quoted" & <more>`, "broker_count": 5, "broker_port": 8080, "gateway_port": 8443,
			"gateway_allowed_origins": []any{"https://a.example.org"}, "consul_prefix": "gr-b",
			"scaler_memory": 512, "gateway_cpu": 1000, "broker_tls": true, "peers": map[string]any{"west": "https://w.example.org", "north": "https://n.example.org"},
		}, agents},
	} {
		t.Run(name, func(t *testing.T) {
			values := packDefaults(t)
			for k, v := range set.values {
				if _, known := values[k]; !known {
					t.Fatalf("the pack has no variable %s", k)
				}
				values[k] = v
			}
			for _, agent := range agents {
				rendered := render(t, filepath.Join(thePack, "templates", "greenroom-"+agent+".nomad.tpl"), values)
				if !slices.Contains(set.agents, agent) {
					// Nomad Pack leaves out a template of which nothing is left.
					if strings.TrimSpace(rendered) != "" {
						t.Errorf("it renders a job of the %s:\n%s", agent, rendered)
					}
					continue
				}
				file := filepath.Join(t.TempDir(), "job.nomad.hcl")
				if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := nomadCLI(t, "job", "validate", file); err != nil || !strings.Contains(out, "Job validation successful") {
					t.Errorf("the pack's %s: %v\n%s", agent, err, out)
				}
				parses(t, rendered)
				var vars []string
				for k, v := range set.values {
					if mine, is := strings.CutPrefix(k, agent+"_"); is && declares(t, agent, mine) {
						k = mine
					}
					if !declares(t, agent, k) {
						continue
					}
					text, isText := v.(string)
					if !isText {
						text = string(asJSON(t, v))
					}
					vars = append(vars, "-var", k+"="+text)
				}
				if of, is := jobOf(t, file), jobOf(t, "nomad/greenroom-"+agent+".nomad.hcl", vars...); of != is {
					t.Errorf("the pack's %s is\n%s\nand the job file's with %v\n%s", agent, of, vars, is)
				}
			}
			if out := render(t, filepath.Join(thePack, "outputs.tpl"), values); strings.Contains(out, "gateways listen") != slices.Contains(set.agents, "gateway") {
				t.Errorf("the pack says:\n%s", out)
			}
		})
	}
}

// parses posts a job file to the endpoint by which Nomad's own page and other tools parse one: that
// takes no variables, and reads no file beside it.
func parses(t *testing.T, text string) {
	t.Helper()
	body := asJSON(t, map[string]any{"JobHCL": text, "Canonicalize": true})
	req, err := http.NewRequestWithContext(patient(t), "POST", shared.Cluster(t).NomadAddr+"/v1/jobs/parse", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	var job struct {
		ID         string
		TaskGroups []struct{ Name string }
	}
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(said, &job) != nil || !strings.HasPrefix(job.ID, "greenroom-") || len(job.TaskGroups) != 1 {
		t.Errorf("Nomad's parser answers %d %s %v", res.StatusCode, said, err)
	}
}

// jobOf returns a job file as the job that Nomad's command line makes of it.
func jobOf(t *testing.T, file string, vars ...string) string {
	t.Helper()
	out, err := nomadCLI(t, slices.Concat([]string{"job", "run", "-output"}, vars, []string{file})...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// declares reports whether an agent's job file has a variable.
func declares(t *testing.T, agent, variable string) bool {
	t.Helper()
	return strings.Contains(read(t, "nomad/greenroom-"+agent+".nomad.hcl"), "variable \""+variable+"\"")
}

// render renders a template of the pack as Nomad Pack does: between [[ and ]], with its function
// var and what of the Sprig library the pack uses.
func render(t *testing.T, file string, values map[string]any) string {
	t.Helper()
	functions := template.FuncMap{
		"var": func(name string, _ any) any {
			if v, known := values[name]; known {
				return v
			}
			t.Errorf("%s uses variable %s, which the pack does not have", file, name)
			return nil
		},
		"toJson": func(v any) string { return string(asJSON(t, v)) },
	}
	parsed, err := template.New("").Delims("[[", "]]").Funcs(functions).Parse(read(t, file))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var out strings.Builder
	if err := parsed.Execute(&out, nil); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out.String()
}

// packDefaults returns the pack's variables with their defaults; nil is one that has none.
func packDefaults(t *testing.T) map[string]any {
	t.Helper()
	file, diagnostics := hclparse.NewParser().ParseHCLFile(filepath.Join(thePack, "variables.hcl"))
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	content, diagnostics := file.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "variable", LabelNames: []string{"name"}}}})
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	values := map[string]any{}
	for _, block := range content.Blocks {
		attributes, diagnostics := block.Body.JustAttributes()
		if diagnostics.HasErrors() {
			t.Fatal(diagnostics)
		}
		name := block.Labels[0]
		values[name] = nil
		if given := attributes["default"]; given != nil {
			value, diagnostics := given.Expr.Value(nil)
			if diagnostics.HasErrors() {
				t.Fatal(diagnostics)
			}
			text, err := ctyjson.Marshal(value, cty.DynamicPseudoType)
			if err != nil {
				t.Fatal(err)
			}
			var typed struct{ Value any }
			if err := json.Unmarshal(text, &typed); err != nil {
				t.Fatal(err)
			}
			values[name] = typed.Value
		}
	}
	return values
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
