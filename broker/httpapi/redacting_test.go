package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestOnlyAdministratorsSeeSecrets of images and groups, whatever is read.
func TestOnlyAdministratorsSeeSecrets(t *testing.T) {
	// Streams of events end at once.
	over, end := context.WithCancel(t.Context())
	end()
	var stored []access.Token
	secretOf := map[access.Role]string{}
	for _, role := range access.TokenRoles {
		token, secret := access.NewToken(access.TokenRequest{Name: "n", Role: role}, time.Now())
		stored, secretOf[role] = append(stored, token), secret
	}
	tokens := access.NewTokens(stored, 1, nil)
	f := newFake()
	image := staging.Image{
		Name: "demo", Jobspec: `password = "hunter2"`, Variables: map[string]string{"a": "hunter2"}, RunConfig: map[string]any{"auth": map[string]any{"password": "hunter2"}},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{"/bin/login", "hunter2"}, Environment: map[string]string{"KEY": "hunter2"}}},
	}
	f.images["demo"] = image
	f.groups["demo"] = staging.Group{Name: "demo", RunConfig: map[string]any{"auth": "hunter2"}}
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Guard, o.Ending = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}, over
	})
	get := func(role access.Role, path string) answer {
		return e.do("GET", path, "", header("Authorization", "Bearer "+secretOf[role]))
	}
	read := 0
	for path, item := range e.contract.Paths() {
		if item.Get == nil || item.Get.OperationID == "getInstallation" {
			continue
		}
		path = strings.NewReplacer("{id}", "gr-1", "{name}", "demo", "{accessor}", "tk-1").Replace(path)
		for _, role := range []access.Role{access.Launcher, access.Viewer} {
			got := get(role, path)
			if strings.Contains(string(got.body), "hunter2") {
				t.Errorf("GET %s shows a %s a secret: %s", path, role, got.body)
			}
			if got.status == 200 {
				read++
			}
		}
	}
	if read < 20 {
		t.Errorf("only %d answers were looked at", read)
	}
	for _, path := range []string{"/v1/images/demo", "/v1/images"} {
		if got := get(access.Viewer, path); !strings.Contains(string(got.body), `"jobspec":"(hidden)"`) || !strings.Contains(string(got.body), `"cmd":["/bin/login","(hidden)"]`) {
			t.Errorf("GET %s as viewer: %s", path, got.body)
		}
	}
	if n := strings.Count(string(get(access.Admin, "/v1/images/demo").body), "hunter2"); n != 5 {
		t.Errorf("an administrator sees %d of 5 secrets", n)
	}
	if diff := cmp.Diff(image, f.images["demo"]); diff != "" {
		t.Errorf("what is stored was changed (-before +after):\n%s", diff)
	}
}
