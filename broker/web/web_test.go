package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
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

// TestThePagesAreWhole: every file that another names is served with its media type and the
// policy, at whatever address the page is, and none names anything on another server.
func TestThePagesAreWhole(t *testing.T) {
	names := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from '([^']+)'|at\('(/ui/[^']+\.svg)'\)`)
	seen, queue := map[string]bool{}, []string{"/", "/launch/demo", "/open/gr-1", "/ui/"}
	pages := len(queue)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		w := get(t, name)
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: %d", name, w.Code)
			continue
		}
		keepsToItself(t, name, w)
		if again := get(t, name, "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s is sent again: %d", name, again.Code)
		}
		for _, m := range names.FindAllStringSubmatch(w.Body.String(), -1) {
			at, err := url.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			named, err := at.Parse(m[1] + m[2] + m[3])
			if err != nil || named.Host != "" {
				t.Fatalf("%s names %s: %v", name, m[0], err)
			}
			queue = append(queue, named.Path)
		}
	}
	entries, err := assets.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	// The two documents are served as pages, not under their files' names.
	if len(seen)-pages != len(entries)-2 {
		t.Errorf("%d files are embedded, %d are reached: %v", len(entries)-2, len(seen)-pages, seen)
	}
	const external = "https://example.org/greenroom"
	for at, want := range map[string]string{"": "/ui/", external: external + "/ui/"} {
		if w := getAt(t, at, "/ui", "X-Forwarded-Host", "evil.example"); w.Code != http.StatusFound || w.Header().Get("Location") != want {
			t.Errorf("/ui: %d to %q, want %q", w.Code, w.Header().Get("Location"), want)
		}
	}
}

// keepsToItself requires the headers that hold a page to the files of its broker, and other sites
// off it.
func keepsToItself(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	h := w.Header()
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
	} {
		if !strings.Contains(h.Get(header), want) {
			t.Errorf("%s: %s is %q", name, header, h.Get(header))
		}
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%s may be put into a frame, where a stranger's page launches", name)
	}
	for _, no := range []string{"unsafe", "http:", "https:", "*", "data:"} {
		if strings.Contains(h.Get("Content-Security-Policy"), no) {
			t.Errorf("the policy has %s", no)
		}
	}
}

// TestAnAddressThatThereIsNotIsAPageForBrowsersAlone: its files are found from there, too. Programs
// are answered by the API.
func TestAnAddressThatThereIsNotIsAPageForBrowsersAlone(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	RoutesAt("")(engine)
	engine.NoRoute(func(c *gin.Context) {
		if !Missing(c) {
			c.Status(http.StatusTeapot)
		}
	})
	ask := func(method, path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		return w
	}
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	for path, script := range map[string]string{
		"/lanch": `src="ui/home.js"`, "/launch/": `src="../ui/home.js"`, "/launch/a%2Fb": `src="../ui/home.js"`, "/a/b/c": `src="../../ui/home.js"`,
	} {
		w := ask("GET", path, browser)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), script) || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		keepsToItself(t, path, w)
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"a program": ask("GET", "/lanch", "*/*"), "a form": ask("POST", "/lanch", browser), "an endless path": ask("GET", strings.Repeat("/a", 18), browser),
	} {
		if w.Code != http.StatusTeapot {
			t.Errorf("%s: %d", what, w.Code)
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
