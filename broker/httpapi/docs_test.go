package httpapi_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/greenroom/greenroom/broker/httpapi"
)

// TestTheContractIsAPage: with every path, operation, field and code, without a token,
// and without scripts or anything fetched from elsewhere.
func TestTheContractIsAPage(t *testing.T) {
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = guardedBy("a token") })
	got := e.do("GET", "/v1/docs", "")
	page := string(got.body)
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", got.status, got.header)
	}
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if !strings.Contains(page, `id="`+op.OperationID+`"`) || !strings.Contains(page, path) {
				t.Errorf("the page lacks %s", op.OperationID)
			}
		}
	}
	for name, s := range doc.Components.Schemas {
		if !strings.Contains(page, `id="schema-`+name+`"`) {
			t.Errorf("the page lacks %s", name)
		}
		for field := range s.Value.Properties {
			if !strings.Contains(page, "<code>"+field+"</code>") {
				t.Errorf("the page lacks %s of %s", field, name)
			}
		}
	}
	if !strings.Contains(page, "<td><code>idempotency_key_reused</code></td>") {
		t.Error("the table of codes is not rendered")
	}
	if found := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|\son[a-z]+=|@import|url\(|(?:src|href)="[^#/]`).FindString(page); found != "" {
		t.Errorf("the page fetches or runs something: %s", found)
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `id="`+m[1]+`"`) {
			t.Errorf("a link leads nowhere: #%s", m[1])
		}
	}
	if got := e.do("GET", "/v1/openapi.yaml", ""); got.status != 200 {
		t.Errorf("the document is answered %d without a token", got.status)
	}
}
