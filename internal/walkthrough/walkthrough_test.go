package walkthrough

import (
	"strings"
	"testing"
)

func TestADocumentIsReadAndFollowed(t *testing.T) {
	const document = "Save it:\n\n```hcl\n# a/b.hcl\nx = 1\n```\n\n```sh\nexport WORD=there\ngrep x a/b.hcl\n```\n\nAsk:\n\n```sh\necho \"{\\\"code\\\":\\\"$WORD\\\",\\\"n\\\":[1,2]}\"\n```\n\n```json\n{\"code\": \"there\", \"n\": [7]}\n```\n\n" +
		"| a | `make world` |\n|---|---|\n\n```sh\nexit 1 # at once\ntrue\n```\n"
	steps, err := Read(document, NotRun{"no time", []string{"make world"}}, NotRun{"it would end the shell", []string{"exit 1"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 4 || steps[0].File != "a/b.hcl" || steps[2].Answer == "" || steps[3].Commands != "true\n" || steps[1].Line != 9 {
		t.Fatalf("%+v", steps)
	}
	if out, err := (Reader{Dir: t.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}}).Do(t.Context(), steps); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	steps[3].Commands = "exit 1\n"
	if out, err := (Reader{Dir: t.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}}).Do(t.Context(), steps); err == nil || !strings.Contains(out, "--- line") {
		t.Errorf("a command that fails: %v\n%s", err, out)
	}
	if _, err := (Reader{Dir: t.TempDir(), Replace: []string{"NOWHERE", ""}}).Do(t.Context(), steps); err == nil || !strings.Contains(err.Error(), "NOWHERE") {
		t.Errorf("a replacement of nothing: %v", err)
	}
}

func TestACommandThatIsNeitherRunNorListedIsAnError(t *testing.T) {
	for _, document := range []string{
		"So:\n\n    greenroom status\n",
		"So:\n\n```\ngreenroom status\n```\n",
		"So:\n\n```json\n{}\n```\n",
		"So:\n\n```hcl\n# ../x.hcl\n```\n",
	} {
		if steps, err := Read(document); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %+v, %v", document, steps, err)
		}
	}
	// A command that is not listed is run, in a sentence and in a block beside one that is
	// listed; a remark in the document lists nothing.
	steps, err := Read("See `greenroom status` <!-- not run: no time --> and\n`greenroom groups -o\njson`.\n\n```sh\nfalse\ngreenroom new\n```\n",
		NotRun{"it fails", []string{"false"}})
	if err != nil || len(steps) != 3 || steps[0].Commands != "greenroom status\n" || steps[1].Commands != "greenroom groups -o json\n" || steps[2].Commands != "greenroom new\n" {
		t.Fatalf("%+v, %v", steps, err)
	}
	if out, err := (Reader{Dir: t.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}}).Do(t.Context(), steps); err == nil || !strings.Contains(out, "--- line 1\n") {
		t.Errorf("a command that is not listed and cannot be run: %v\n%s", err, out)
	}
}

func TestAListedCommandThatTheDocumentDoesNotShowIsAnError(t *testing.T) {
	const document = "`greenroom status` is short.\n\n```sh\ngreenroom launch demo \\\n    --zone east # and more\ntrue\n```\n\n```sh\nkill 1\n```\n\n```json\n{}\n```\n\n`greenroom launch` has flags.\n"
	listed := func(commands ...string) NotRun { return NotRun{"it needs a server", commands} }
	steps, err := Read(document, listed("greenroom status"), listed("greenroom launch demo --zone east", "kill 1"))
	if err != nil || len(steps) != 1 || steps[0].Commands != "true\n" {
		t.Errorf("all are listed but one: %+v, %v", steps, err)
	}
	for name, n := range map[string]NotRun{
		`no such command: "greenroom gone"`:   listed("greenroom status", "greenroom gone"),
		`no such command: "greenroom statu"`:  listed("greenroom statu"),
		`no such command: "greenroom launch"`: listed("greenroom launch"), // it only names the block's
		`listed twice`:                        listed("kill 1", "kill 1"),
		`no reason`:                           {" ", []string{"kill 1"}},
	} {
		if steps, err := Read(document, n); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %+v, %v", name, steps, err)
		}
	}
}

func TestASentenceThatNamesABlocksCommandIsNoOther(t *testing.T) {
	steps, err := Read("`nomad job run` starts it:\n\n```sh\nnomad job run x.hcl\n```\n")
	if err != nil || len(steps) != 1 {
		t.Errorf("%+v, %v", steps, err)
	}
}

func TestAnswersAreCompared(t *testing.T) {
	const shown = `{"code": "gone", "n": 1, "items": [{"state": "ready"}]}`
	for got, want := range map[string]string{
		`{"code": "gone", "n": 5, "more": 1, "items": [{"state": "ended"}, {"state": "ready"}]}`: "",
		`{"code": "other", "n": 5, "items": [{"state": "ready"}]}`:                               "code",
		`{"code": "gone", "n": "5", "items": [{"state": "ready"}]}`:                              "n",
		`{"code": "gone", "items": [{"state": "ready"}]}`:                                        "n",
		`{"code": "gone", "n": 5, "items": [{"state": "ended"}]}`:                                "items",
		`{"code": "gone", "n": 5, "items": {}}`:                                                  "items",
		`[]`:                                                                                     "no object",
		`x`:                                                                                      "no JSON",
	} {
		if err := Compare(shown, got); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", got, err)
		}
	}
}
