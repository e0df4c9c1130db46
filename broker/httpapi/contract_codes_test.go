package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestTheContractHasEveryCode: in the table at its top and as an example, with the
// status that it is answered with, and no other code.
func TestTheContractHasEveryCode(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[Code]bool{}
	for _, response := range []string{"Refused", "Failed"} {
		for name, example := range doc.Components.Responses[response].Value.Content[mediaProblem].Examples {
			p := example.Value.Value.(map[string]any)
			code := Code(name)
			shown[code] = true
			status, ok := statuses[code]
			switch {
			case !ok:
				t.Errorf("the example %s of %s is of no code", name, response)
			case p["code"] != name || p["type"] != "urn:greenroom:problem:"+name:
				t.Errorf("the example %s of %s is of another code: %v", name, response, p)
			case p["status"] != float64(status) || p["title"] != http.StatusText(status):
				t.Errorf("the example %s of %s says %v %v, the broker %d", name, response, p["status"], p["title"], status)
			case (response == "Refused") != (status < 500):
				t.Errorf("the example %s, of status %d, is in %s", name, status, response)
			}
		}
	}
	for code := range statuses {
		if !shown[code] {
			t.Errorf("%s has no example", code)
		}
		if !strings.Contains(doc.Info.Description, "`"+string(code)+"`") {
			t.Errorf("%s is not in the table at the top", code)
		}
	}
}
