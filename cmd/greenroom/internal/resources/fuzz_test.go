package resources

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
)

// placed is how every complaint begins: with the file and the line.
var placed = regexp.MustCompile(`(?s)^<?[^:]*>?:\d+: .+`)

// FuzzResourceFile: whatever a file holds, it is taken whole or every complaint names
// file and line; and what is taken passes the checks that the broker makes.
func FuzzResourceFile(f *testing.F) {
	f.Add([]byte(`zone "east" {
  datacenters = ["dc1"]
}
image "demo" {
  jobspec = "job \"x\" {}"
  exec_config {
    assign { cmd = ["a", "{username}"] }
  }
}
staging "demo-east" {
  zone = "east"
  image = "demo"
  desired_sessions = 3
  expiration = "24h"
  schedule {
    cron = "0 8 * * 1-5"
    duration = "10h"
    desired_sessions = 9
  }
}
group "all" {
  priority = 1
  permissions { allow_audio = true }
}`))
	f.Add([]byte(`staging "x" { desired_sessions = "3" ` + "\n" + ` zone = 1`))
	f.Add([]byte(`image "x" { jobspec = file("/nowhere") }`))
	f.Add([]byte(`group "g" { run_config = { a = [1, null, { b = true }] } }` + "\x00\xff"))
	f.Fuzz(func(t *testing.T, source []byte) {
		got, err := loadResources([]string{standardInput}, bytes.NewReader(source))
		var refused *FilesError
		switch {
		case errors.As(err, &refused):
			for _, what := range refused.findings {
				if !placed.MatchString(what.String()) {
					t.Errorf("a complaint without file and line: %q", what.String())
				}
			}
			return
		case err != nil:
			t.Fatalf("not about the file's content: %v", err)
		}
		for _, z := range got.set.Zones {
			mustBeValid(t, z.Validate())
		}
		for _, i := range got.set.Images {
			mustBeValid(t, i.Validate())
		}
		for _, g := range got.set.Groups {
			mustBeValid(t, g.Validate())
		}
	})
}

func mustBeValid(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("it was taken, and the broker would refuse it: %v", err)
	}
}
