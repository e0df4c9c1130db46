package walkthrough

import (
	"strings"
	"testing"
)

func TestADocumentIsReadAndFollowed(t *testing.T) {
	const document = "Save it:\n\n```hcl\n# a/b.hcl\nx = 1\n```\n\n```sh\nexport WORD=there\ngrep x a/b.hcl\n```\n\nAsk:\n\n```sh\necho \"{\\\"code\\\":\\\"$WORD\\\",\\\"n\\\":[1,2]}\"\n```\n\n```json\n{\"code\": \"there\", \"n\": [7]}\n```\n\n" +
		"| a | `make world` <!-- not run: no time --> |\n|---|---|\n\n<!-- not run: it would -->\n```sh\nexit 1\n```\n"
	steps, err := Read(document)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 5 || steps[0].File != "a/b.hcl" || steps[2].Answer == "" || steps[3].LeftOut != "no time" || steps[4].LeftOut != "it would" || steps[1].Line != 9 {
		t.Fatalf("%+v", steps)
	}
	if out, err := (Reader{Dir: t.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}}).Do(t.Context(), steps); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	steps[4].LeftOut = ""
	if out, err := (Reader{Dir: t.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}}).Do(t.Context(), steps); err == nil || !strings.Contains(out, "--- line") {
		t.Errorf("a command that fails: %v\n%s", err, out)
	}
	if _, err := (Reader{Dir: t.TempDir(), Replace: []string{"NOWHERE", ""}}).Do(t.Context(), steps); err == nil || !strings.Contains(err.Error(), "NOWHERE") {
		t.Errorf("a replacement of nothing: %v", err)
	}
}

func TestACommandThatIsNeitherRunNorMarkedIsAnError(t *testing.T) {
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
	// A mark without a reason is none.
	steps, err := Read("See `greenroom status` <!-- not run: --> and\n`greenroom groups -o\njson`.\n")
	if err != nil || len(steps) != 2 || steps[0].LeftOut != "" || steps[0].Commands != "greenroom status\n" || steps[1].Commands != "greenroom groups -o json\n" {
		t.Errorf("%+v, %v", steps, err)
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
