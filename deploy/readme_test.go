package deploy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every file that README.md names exists, and README.md names every file.
func TestTheReadmeNamesWhatIsHere(t *testing.T) {
	readme := read(t, "README.md")
	for _, dir := range []string{"nomad", "acl", "proxies", "systemd"} {
		for _, name := range regexp.MustCompile("`("+dir+`/[\w.@-]+\w)`+"`").FindAllString(readme, -1) {
			name = strings.Trim(name, "`")
			if _, err := os.Stat(name); err != nil {
				t.Errorf("README.md names a missing file: %v", err)
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.Contains(readme, "`"+dir+"/"+e.Name()+"`") {
				t.Errorf("README.md does not name %s/%s", dir, e.Name())
			}
		}
	}
}

// Nomad accepts the example of greenroom.vars with the job files.
func TestTheReadmesVariablesAreTheJobs(t *testing.T) {
	_, after, _ := strings.Cut(read(t, "README.md"), "    redis_address  =")
	example, _, _ := strings.Cut(after, "\n\n")
	file := t.TempDir() + "/greenroom.vars"
	text := strings.ReplaceAll("    redis_address  ="+example+"\n", "    ", "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, job := range jobFiles {
		if out, err := nomadCLI(t, "job", "validate", "-var-file="+file, job); err != nil {
			t.Errorf("%s: %v\n%s\nwith:\n%s", job, err, out, text)
		}
	}
}
