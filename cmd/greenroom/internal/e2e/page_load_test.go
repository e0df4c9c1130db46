package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/web"
)

// dropping serves the pages alone, without a broker, and breaks off requests for a file while the page
// is loaded for the first few times. (Within a load a browser may ask for a file several times.)
type dropping struct {
	*httptest.Server
	mu   sync.Mutex
	file string
	// loads are how often the page was loaded, dropped in how many of them the file is.
	loads, dropped int
}

func newDropping(t *testing.T) *dropping {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	pages := gin.New()
	web.RoutesAt("")(pages)
	pages.NoRoute(func(c *gin.Context) {
		c.JSON(http.StatusServiceUnavailable, gin.H{"detail": "There is no broker here"})
	})
	d := &dropping{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		if r.URL.Path == "/ui/" || strings.HasPrefix(r.URL.Path, "/launch/") {
			d.loads++
		}
		drop := d.file != "" && strings.HasSuffix(r.URL.Path, d.file) && d.loads <= d.dropped
		d.mu.Unlock()
		if drop {
			// The beginning of an answer: a browser asks again by itself for what had none.
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			panic(http.ErrAbortHandler)
		}
		pages.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

// drop has a file dropped in the next loads of the page.
func (d *dropping) drop(file string, loads int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file, d.dropped, d.loads = file, loads, 0
}

func (d *dropping) loaded() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loads
}

// TestAPageLoadsAgainWhenAModuleIsDropped: the users' and the operators', at once if that helps; if
// it does not, the page says what to do, and does not try for ever.
func TestAPageLoadsAgainWhenAModuleIsDropped(t *testing.T) {
	const always = 1 << 30
	d := newDropping(t)
	p := watched(t, openBrowser(t, 1280, 860))
	for path, files := range map[string][]string{"/launch/demo?url=x": {"/home.js", "/home_tile.js"}, "/ui/": {"/main.js", "/plot.js"}} {
		for _, file := range files {
			d.drop(file, 2)
			must(t, chromedp.Do(p.ctx, chromedp.Navigate(d.URL+path)))
			p.shows("There is no broker here")
			if got := d.loaded(); got != 3 {
				t.Errorf("%s was loaded %d times, with %s dropped twice", path, got, file)
			}
			if at := eval[string](p, "location.href + %s", ""); at != d.URL+path {
				t.Errorf("%s is now %s", path, at)
			}
		}
		d.drop(files[1], always)
		must(t, chromedp.Do(p.ctx, chromedp.Navigate(d.URL+path)))
		p.shows("could not be loaded", "Load it again")
		if got := d.loaded(); got != 5 {
			t.Errorf("%s was loaded %d times, with a file that never loads", path, got)
		}
		d.drop("", 0)
		p.press("Load it again")
		p.shows("There is no broker here")
		// Nothing at all but the document: it says so by itself.
		d.drop(".js", always)
		must(t, chromedp.Do(p.ctx, chromedp.Navigate(d.URL+path)))
		p.shows("If this stays, load it again.")
	}
}
