package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/gin-gonic/gin"
)

//go:embed assets
var assets embed.FS

// policy limits the page to the embedded files and the API of the broker that served it.
// Text from the API cannot become script whatever the page does with it, since the browser
// refuses markup from scripts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// root is the path of the page.
const root = "/ui/"

// mediaTypes are the files' media types; the machine's own table does not matter.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// RoutesAt returns what adds the page's routes. external is the URL by which browsers reach
// the broker, without a slash at its end, and begins the redirects to the page; "" if they
// reach the broker by the address that it listens on.
func RoutesAt(external string) func(gin.IRouter) {
	return func(r gin.IRouter) { routes(r, external) }
}

func routes(r gin.IRouter, external string) {
	toPage := func(c *gin.Context) { c.Redirect(http.StatusFound, external+root) }
	r.GET("/", toPage)
	r.GET("/ui", toPage)
	entries, err := fs.ReadDir(assets, "assets")
	if err != nil {
		panic("web: cannot read the embedded files: " + err.Error())
	}
	for _, e := range entries {
		body, err := assets.ReadFile("assets/" + e.Name())
		if err != nil {
			panic("web: " + err.Error())
		}
		at := root + e.Name()
		if e.Name() == "index.html" {
			at = root
		}
		serve := file(e.Name(), body)
		r.GET(at, serve)
		r.HEAD(at, serve)
	}
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
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		h.Set("Content-Type", media)
		http.ServeContent(c.Writer, c.Request, name, time.Time{}, bytes.NewReader(body))
	}
}
