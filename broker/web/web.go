package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

//go:embed assets
var assets embed.FS

// policy limits the pages to the embedded files and the API of the broker that served them.
// Text from the API cannot become script whatever a page does with it, since the browser
// refuses markup from scripts. No other page may hold one of them in a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// root is the path of the operators' page, and begins those of all files.
const root = "/ui/"

// Documents among the files: they are served as pages, not by their names.
const (
	operatorsDocument = "index.html"
	usersDocument     = "home.html"
)

// usersRoutes are the routes of the users' page: its script shows what the address asks for.
var usersRoutes = []string{"/", "/launch/:image", "/open/:session"}

// maxDepth bounds the slashes of an address for which Missing answers.
const maxDepth = 16

// mediaTypes are the files' media types; the machine's own table does not matter.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// RoutesAt returns what adds the pages' routes. external is the URL by which browsers reach
// the broker, without a slash at its end, and begins the redirects to the operators' page; "" if
// they reach the broker by the address that it listens on.
func RoutesAt(external string) func(gin.IRouter) {
	return func(r gin.IRouter) { routes(r, external) }
}

func routes(r gin.IRouter, external string) {
	r.GET("/ui", func(c *gin.Context) { c.Redirect(http.StatusFound, external+root) })
	entries, err := fs.ReadDir(assets, "assets")
	if err != nil {
		panic("web: cannot read the embedded files: " + err.Error())
	}
	serve := func(at, name string, body []byte) {
		f := file(name, body)
		r.GET(at, f)
		r.HEAD(at, f)
	}
	for _, e := range entries {
		switch name := e.Name(); name {
		case operatorsDocument:
			serve(root, name, read(name))
		case usersDocument:
			for _, at := range usersRoutes {
				serve(at, name, usersPageAt(strings.Count(at, "/")-1))
			}
		default:
			serve(root+name, name, read(name))
		}
	}
}

// Missing answers a browser that opens an address that there is not with the users' page, which
// says so. It reports whether it did: programs get no page.
func Missing(c *gin.Context) bool {
	depth := strings.Count(c.Request.URL.EscapedPath(), "/") - 1
	if c.Request.Method != http.MethodGet || !strings.Contains(c.GetHeader("Accept"), "text/html") || depth > maxDepth {
		return false
	}
	secure(c.Writer.Header())
	c.Data(http.StatusNotFound, mediaTypes[".html"], usersPageAt(depth))
	return true
}

func read(name string) []byte {
	body, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("web: " + err.Error())
	}
	return body
}

// usersPageAt returns the users' page for an address with so many slashes after the first. It
// names its files relative to the address: only the browser knows the path below which a proxy
// serves the broker.
func usersPageAt(depth int) []byte {
	return bytes.ReplaceAll(read(usersDocument), []byte(`="ui/`), []byte(`="`+strings.Repeat("../", depth)+`ui/`))
}

// secure sets the headers that keep a page to itself.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-cache")
}

// file serves one file. A browser revalidates it at each use, so that after an upgrade it
// never mixes the files of two versions.
func file(name string, body []byte) gin.HandlerFunc {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	media, ok := mediaTypes[path.Ext(name)]
	if !ok {
		panic("web: no media type for " + name)
	}
	return func(c *gin.Context) {
		h := c.Writer.Header()
		secure(h)
		h.Set("ETag", tag)
		h.Set("Content-Type", media)
		http.ServeContent(c.Writer, c.Request, name, time.Time{}, bytes.NewReader(body))
	}
}
