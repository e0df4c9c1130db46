package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return getAt(t, "", path, headers...)
}

func getAt(t *testing.T, external, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	RoutesAt(external)(engine)
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, r)
	return w
}

// TestThePageIsWhole: every file that another names is served with its media type and the
// policy, and none names anything on another server.
func TestThePageIsWhole(t *testing.T) {
	names := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from '([^']+)'|src: '([^']+)'`)
	seen, queue := map[string]bool{}, []string{""}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		w := get(t, "/ui/"+name)
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("/ui/%s: %d", name, w.Code)
			continue
		}
		h := w.Header()
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
		} {
			if !strings.Contains(h.Get(header), want) {
				t.Errorf("/ui/%s: %s is %q", name, header, h.Get(header))
			}
		}
		for _, no := range []string{"unsafe", "http:", "https:", "*", "data:"} {
			if strings.Contains(h.Get("Content-Security-Policy"), no) {
				t.Errorf("the policy has %s", no)
			}
		}
		if again := get(t, "/ui/"+name, "If-None-Match", h.Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("/ui/%s is sent again: %d", name, again.Code)
		}
		for _, m := range names.FindAllStringSubmatch(w.Body.String(), -1) {
			queue = append(queue, strings.TrimPrefix(m[1]+m[2]+m[3], "./"))
		}
	}
	entries, err := assets.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	// index.html is served as the page itself, not under its file's name.
	if len(seen) != len(entries) {
		t.Errorf("%d files are embedded, %d are reached: %v", len(entries), len(seen), seen)
	}
	for _, from := range []string{"/", "/ui"} {
		if w := get(t, from); w.Code != http.StatusFound || w.Header().Get("Location") != "/ui/" {
			t.Errorf("%s: %d to %q", from, w.Code, w.Header().Get("Location"))
		}
		const external = "https://example.org/greenroom"
		if w := getAt(t, external, from, "X-Forwarded-Host", "evil.example"); w.Header().Get("Location") != external+"/ui/" {
			t.Errorf("%s behind a proxy: %d to %q", from, w.Code, w.Header().Get("Location"))
		}
	}
}

// TestEveryFailureOfALoginHasItsWords: the page has words for each reason that it is sent, and
// for no other.
func TestEveryFailureOfALoginHasItsWords(t *testing.T) {
	names := func(path, expression string) []string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	sent := names("../../internal/access/provider_login.go", `LoginFailure = "([a-z]+)"`)
	if words := names("assets/login.js", `(?m)^  ([a-z]+): \(.*\) => ['`+"`"+`]`); len(sent) == 0 || !slices.Equal(sent, words) {
		t.Errorf("the broker sends %q, the page has words for %q", sent, words)
	}
}
