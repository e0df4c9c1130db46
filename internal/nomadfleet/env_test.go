package nomadfleet_test

import (
	"maps"
	"strings"
	"testing"
)

// TestEnvironmentArrivesUnchanged: Nomad interpolates nothing in values that a user
// typed, also not names that it knows.
func TestEnvironmentArrivesUnchanged(t *testing.T) {
	want := map[string]string{
		"PLAIN":      "alice",
		"NODE":       "${node.datacenter} ${attr.kernel.name} ${meta.x}",
		"TASK":       "${NOMAD_TASK_NAME}${NOMAD_TASK_NAME}",
		"DOUBLE":     "$${NOMAD_TASK_NAME} $$${NOMAD_TASK_NAME} $${x} $$",
		"NESTED":     "${${NOMAD_TASK_NAME}} ${NOMAD_${NOMAD_TASK_NAME}}",
		"TRICK":      "${NOMAD_META_greenroom_dollar}{NOMAD_TASK_NAME}",
		"OTHER":      "${PLAIN}",
		"OPEN":       "${ ${} $ { $",
		"SECRET":     "${NOMAD_TOKEN} ${CONSUL_TOKEN} ${env[\"PATH\"]} %{ if true }x%{ endif }",
		"QUOTES":     `it's "quoted" \ and \n`,
		"LINES":      "one\ntwo\r\n\tthree\n",
		"EMOJI":      "\U0001F600 e\u0301 \u2028",
		"EMPTY":      "",
		"SHELL":      "$(id) `id` $HOME ; rm -rf /tmp/x",
		"TEMPLATE":   `{{ env "PATH" }} {{ key "x" }}`,
		"EQUALS":     "a=b=c",
		"LONG_VALUE": strings.Repeat("${node.datacenter}", 1000),
	}
	r := newRig(t)
	for _, driver := range []string{"raw_exec", "docker"} {
		t.Run(driver, func(t *testing.T) {
			s := r.startForExec(t, app(t, driver), want)
			got := map[string]string{}
			eventually(t, "the task has written its environment", func() bool {
				for _, kv := range strings.Split(r.shell(t, s, `cat "$NOMAD_TASK_DIR/environ"`), "\x00") {
					if k, v, ok := strings.Cut(kv, "="); ok {
						got[k] = v
					}
				}
				return len(got) > 0
			})
			own := map[string]string{"GREENROOM_SESSION_ID": s.ID, "GREENROOM_ZONE": "east", "GREENROOM_IMAGE": "app"}
			maps.Copy(own, want)
			for k, v := range own {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
		})
	}
}
