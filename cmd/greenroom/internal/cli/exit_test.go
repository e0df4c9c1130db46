package cli_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// document is what -o json prints of an error.
type document struct {
	Type, Title, Code, Detail string
	Status                    int
	ExitCode                  int `json:"exit_code"`
	Errors                    []struct{ Field, Message string }
	Attempts                  []staging.Attempt
	Sessions                  []string
}

// TestWithJSONErrorsAreProblemDocumentsOnStderr: a program reads why a command failed from
// the same fields, whether the broker or the command line refused.
func TestWithJSONErrorsAreProblemDocumentsOnStderr(t *testing.T) {
	c := clitest.New(t, "")
	launch := []string{"launch", "demo", "--zone", "east", "--user", "alice"}
	files := clitest.Dir(t, map[string]string{"bad.hcl": "zone \"east\" {\n  datacentres = []\n}\n"})
	for _, tt := range []struct {
		name   string
		err    error
		args   []string
		want   document
		detail string
	}{
		{
			"limit", &refusal.Error{Kind: refusal.SessionLimit, Detail: "end one", Sessions: []string{"gr-1"}},
			append(launch, "-o", "json"),
			document{Code: "session_limit", Status: 409, ExitCode: exit.Limit},
			"end one",
		},
		{"not found", nil, []string{"sessions", "show", "gr-x", "--json"}, document{Code: "not_found", Status: 404, ExitCode: exit.NotFound}, "gr-x"},
		{"nobody there", nil, []string{"sessions", "-o", "json", "--address", "127.0.0.1:1"}, document{Code: "unreachable", ExitCode: exit.Unavailable}, "is it running"},
		{"wrong flag before", nil, []string{"sessions", "--colour", "-o", "json"}, document{Code: "usage", ExitCode: exit.Usage}, "--colour"},
		{"wrong files", nil, []string{"plan", "-f", files, "--output=json"}, document{Code: "files_not_valid", ExitCode: exit.Invalid}, "bad.hcl:2"},
		{"no file", nil, []string{"plan", "-f", filepath.Join(files, "none.hcl"), "-ojson"}, document{Code: "failed", ExitCode: exit.Failed}, "none.hcl: no such file or directory; name a resource file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.Broker.Err = tt.err
			code, out, errs := c.Run(tt.args...)
			var got document
			clitest.Decode(t, errs, &got)
			if code != tt.want.ExitCode || out != "" || got.Code != tt.want.Code || got.Status != tt.want.Status || got.ExitCode != code ||
				got.Title == "" || got.Type != "urn:greenroom:problem:"+got.Code || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("exit code %d, printed %q, and on stderr\n%s", code, out, errs)
			}
		})
	}
	// What follows -- is not greenroom's.
	if _, _, errs := c.Run("exec", "--", "-o", "json"); strings.HasPrefix(errs, "{") {
		t.Errorf("the arguments of a command in a session chose the format: %s", errs)
	}
}

// TestTheReadmeListsEveryExitCode: the table and the help have every code once.
func TestTheReadmeListsEveryExitCode(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	help := cli.NewRootCommand().Long
	for code := exit.OK; code <= exit.Declined; code++ {
		if n := strings.Count(string(readme), "\n| "+strconv.Itoa(code)+" | "); n != 1 {
			t.Errorf("README.md's table has exit code %d %d times", code, n)
		}
		if !strings.Contains(help, "\n "+strings.Repeat(" ", 2-len(strconv.Itoa(code)))+strconv.Itoa(code)+"  ") {
			t.Errorf("greenroom --help does not list exit code %d", code)
		}
	}
}
