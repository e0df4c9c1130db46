package deploy_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// testJobReads: only a job that does not exist is gone. What the token may not read, or a
// token that has expired or was deleted, is no answer.
func testJobReads(t *testing.T, g *guarded) {
	rules := `namespace "default" { capabilities = ["list-jobs", "read-job"] }`
	token := g.nomadTokenFor(t, "reads-default-only", rules)
	f := g.fleet(t, token)
	there := staging.Session{ID: staging.NewSessionID(), Namespace: "elsewhere"}
	nowhere := staging.Session{ID: staging.NewSessionID()}
	if exists, err := f.Exists(patient(t), nowhere); err != nil || exists {
		t.Errorf("a job that does not exist: %t, %v", exists, err)
	}
	for what, s := range map[string]staging.Session{
		"a namespace that the token may not read": there,
		"a namespace that does not exist":         {ID: nowhere.ID, Namespace: "no-such-namespace"},
	} {
		_, err := f.Exists(patient(t), s)
		t.Logf("%s: %v", what, err)
		if !errors.Is(err, staging.ErrJobDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := f.Exists(patient(t), staging.Session{ID: nowhere.ID, Region: "far"})
	t.Logf("a region that does not exist: %v", err)
	if err == nil || errors.Is(err, staging.ErrJobDenied) {
		t.Errorf("a region that does not exist: %v", err)
	}
	exists, err := g.fleet(t, nomadManagement).Exists(patient(t), staging.Session{ID: nowhere.ID, Namespace: "no-such-namespace"})
	t.Logf("a management token, a namespace that does not exist: %t, %v", exists, err)

	short, _, err := g.nomad.ACLTokens().Create(&nomadapi.ACLToken{Name: "short", Type: "client", Policies: []string{"reads-default-only"}, ExpirationTTL: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f = g.fleet(t, short.SecretID)
	if _, err := f.Exists(patient(t), nowhere); err != nil {
		t.Errorf("a token before its end: %v", err)
	}
	if _, err := g.nomad.ACLTokens().Delete(short.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.Exists(patient(t), nowhere)
	t.Logf("a token that was deleted: %v", err)
	if !errors.Is(err, staging.ErrJobDenied) {
		t.Errorf("a token that was deleted: %v", err)
	}
	_, _, err = f.List(patient(t))
	t.Logf("a list with it: %v", err)
	if err == nil {
		t.Error("a list with a token that was deleted is no error")
	}
	_, index, err := g.fleet(t, nomadManagement).List(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	err = g.fleet(t, g.nomadTokenFor(t, "reads-default", rules+"\nnode { policy = \"read\" }")).Watch(patient(t), index, func(staging.Observation) {})
	t.Logf("the event stream of a token for one of two namespaces: %v", err)
	if err == nil {
		t.Error("the event stream of a narrowed token goes on")
	}
}

var _ = context.Canceled
var _ = http.StatusOK
var _ = os.Args
var _ = exec.ErrDot
var _ = filepath.Base
