package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
)

const desktopDir = "../../../../jobspecs/desktop"

// buildDesktop builds the desktop's image, unless Docker has it, as `make desktop` does.
func buildDesktop(t *testing.T) {
	t.Helper()
	devtest.Docker(t)
	if _, err := exec.LookPath("mmdebstrap"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("no mmdebstrap, which builds the desktop's image: ", err)
	}
	build := exec.Command("./build")
	build.Dir = desktopDir
	var errs buffer
	build.Stderr = &errs
	if out, err := build.Output(); err != nil {
		t.Fatalf("jobspecs/desktop/build: %v\n%s%s", err, out, errs.String())
	}
}

// desktopFiles are the resources of jobspecs/desktop, with changes: pairs of old and new text.
func desktopFiles(t *testing.T, changes ...string) (dir string) {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"desktop.hcl", "desktop.nomad.hcl"} {
		b, err := os.ReadFile(filepath.Join(desktopDir, name))
		must(t, err)
		files[name] = string(b)
	}
	for i := 0; i < len(changes); i += 2 {
		changed := strings.ReplaceAll(files["desktop.hcl"], changes[i], changes[i+1])
		if changed == files["desktop.hcl"] {
			t.Fatalf("jobspecs/desktop/desktop.hcl has no %q", changes[i])
		}
		files["desktop.hcl"] = changed
	}
	return clitest.Dir(t, files)
}

// applyDesktop applies the resources in dir, and removes the image and its pool at the end.
func (d *devProcess) applyDesktop(t *testing.T, dir, image string) {
	t.Helper()
	t.Cleanup(func() {
		d.ask(t, "DELETE", "/v1/staging/"+image+"-east", nil, 204, nil)
		d.ask(t, "DELETE", "/v1/images/"+image, nil, 204, nil)
		d.endAll(t, image)
	})
	if out, errs, err := d.greenroom("", "apply", "-f", dir, "--wait"); err != nil {
		t.Fatal(err, out, errs)
	}
}

// area is a part of noVNC's canvas, and of a colour that it shows.
type area struct{ x, y, width, height, red, green, blue int }

var (
	// badge is where a user's initial is, in the colour of its ground.
	badge = area{16, 10, 28, 28, 0x3f, 0xbf, 0x8f}
	// written is where names are, in the colour of their letters.
	written = area{50, 10, 600, 28, 0xf4, 0xf8, 0xf6}
	// The tests' page, somewhere below the browser's bars.
	desktopPage  = area{60, 400, 60, 60, 0x2c, 0x56, 0xa8}
	pageAnswered = area{60, 400, 60, 60, 0xd3, 0xec, 0xdf}
	pageOther    = area{60, 400, 60, 60, 0x87, 0x58, 0x00}
)

// look returns how many of the area's pixels have its colour, give or take what the picture's
// compression changes, and the rightmost of them.
func (a area) look(ctx context.Context) (n, right int, err error) {
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]int](fmt.Sprintf(`(() => {
		const canvas = document.querySelector('#screen canvas')
		if (!canvas?.width) return [0, 0]
		const [x, y, width, height, ...colour] = [%d, %d, %d, %d, %d, %d, %d]
		const p = canvas.getContext('2d').getImageData(x, y, width, height).data
		let n = 0, right = 0
		for (let i = 0; i < p.length; i += 4) {
			if (colour.some((c, j) => Math.abs(p[i + j] - c) > 24)) continue
			n++
			right = Math.max(right, x + i / 4 %% width)
		}
		return [n, right]
	})()`, a.x, a.y, a.width, a.height, a.red, a.green, a.blue)))
	if err != nil {
		return 0, 0, err
	}
	return found[0], found[1], nil
}

// showing waits until at least share of an area has its colour, and returns the rightmost pixel
// that has it. It keeps a picture of what is seen, also if that does not come.
func showing(t *testing.T, browser context.Context, what string, a area, share float64, picture string) (right int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, 3*time.Minute)
	defer cancel()
	defer func() {
		png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err == nil {
			err = keepPicture(picture, png)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	agenttest.UntilEvery(t, 10*time.Millisecond, what, func() (bool, string) {
		n, at, err := a.look(ctx)
		right = at
		return err == nil && float64(n) >= share*float64(a.width*a.height), fmt.Sprintf("%d pixels of the colour, %v", n, err)
	})
	return right
}

// visitDesktop opens a desktop by its link, and returns when its user's name is on it.
func (d *devProcess) visitDesktop(t *testing.T, browser context.Context, l launched, picture string) (nameEnds int) {
	t.Helper()
	link := l.ConnectURL
	until(t, "the browser opens the link", func() (bool, string) {
		_, err := chromedp.Run(browser, chromedp.Navigate(link))
		// Containers that start beside it change the network of the browser, which drops requests then.
		if err != nil && strings.Contains(err.Error(), "ERR_NETWORK_CHANGED") {
			link = d.link(t, l)
			return false, err.Error()
		}
		must(t, err)
		return true, ""
	})
	showing(t, browser, "the desktop has its user's initial", badge, 0.4, picture)
	return showing(t, browser, "the desktop has its user's name", written, 0.002, picture)
}

// TestADesktopIsThereWhenItsUserComes applies jobspecs/desktop as it is: the name of each user is
// on the desktop that they get, by noVNC through the gateway. It prints how long that takes with a
// staged session, and with one made on demand.
func TestADesktopIsThereWhenItsUserComes(t *testing.T) {
	buildDesktop(t)
	d := sharedDev(t)
	d.applyDesktop(t, desktopFiles(t), "desktop")
	ends := map[string]int{}
	for _, c := range []struct{ origin, zone, user string }{
		{"on_demand", "west", "Bo"}, {"staged", "east", "Alexandra Papadopoulou-Lindqvist"},
	} {
		browser := openBrowser(t, 1280, 800)
		began := time.Now()
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("desktop", c.zone, c.user), 201, &l)
		answered := time.Since(began)
		if l.Origin != c.origin {
			t.Fatalf("the session in %s is %s: %v", c.zone, l.Origin, l.Attempts)
		}
		ends[c.origin] = d.visitDesktop(t, browser, l, "desktop-"+c.origin)
		measured("a desktop %s: the launch took %d ms, and %d ms until its user's name was on noVNC's canvas\n",
			strings.ReplaceAll(c.origin, "_", " "), answered.Milliseconds(), time.Since(began).Milliseconds())
		if user := d.inside(t, l.ID, "id -u"); user != "1000" {
			t.Errorf("the session runs as user %s", user)
		}
		if out := d.inside(t, l.ID, "touch /usr/mine 2>&1; grep -E '^(CapBnd|NoNewPrivs)' /proc/1/status"); !strings.Contains(out, "Read-only file system") || !strings.Contains(out, "0000000000000000") || !strings.Contains(out, "NoNewPrivs:\t1") {
			t.Errorf("the session's rights: %s", out)
		}
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}
	if ends["on_demand"] > 120 || ends["staged"] < 200 {
		t.Errorf("the names end at %v: each desktop has another's name, or none", ends)
	}
}

// lesson is a page for the desktop's browser, whose colour changes with the right answer.
const lesson = `<!doctype html><html lang="en"><meta charset="utf-8"><title>%[1]s</title><link rel="icon" href="data:,">
<style>
body { margin: 0; min-height: 100vh; background: %[2]s; display: grid; place-content: center; font: 18px/1.6 Inter, sans-serif; color: #1b1f21; }
main { width: 540px; padding: 40px 48px; border-radius: 12px; background: #fff; }
h1 { margin: 0 0 8px; font-size: 30px; letter-spacing: -.02em; } p { margin: 0 0 20px; color: #596266; }
output { display: block; height: 1.6em; padding: 10px 14px; border: 1px solid #c9cecf; border-radius: 8px; }
p:last-child { margin: 16px 0 0; height: 1.6em; color: #0b6e50; }
</style>
<main><h1>%[1]s</h1><p>What is the distribution of the means of many large samples? Type your answer.</p><output></output><p></p></main>
<script>addEventListener('keydown', e => {
  const [answer, verdict] = document.querySelectorAll('output, p:last-child')
  if (e.key.length > 1) return
  answer.textContent += e.key
  if (answer.textContent !== 'normal') return
  verdict.textContent = 'Correct.'
  document.body.style.background = '#d3ecdf'
})</script></html>`

// TestADesktopShowsItsUsersPage goes the whole way: a launch with an address, the gateway,
// noVNC's canvas, the page in the desktop's browser, keys that are typed there, and `go` with
// another address.
func TestADesktopShowsItsUsersPage(t *testing.T) {
	buildDesktop(t)
	d := sharedDev(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		title, colour := "Lab 3: sampling", "#2c56a8"
		if r.URL.Path == "/two" {
			title, colour = "Lab 4: testing", "#875800"
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, lesson, title, colour)
	}))
	defer site.Close()
	// The site is on this machine's loopback.
	dir := desktopFiles(t, `image "desktop"`, `image "classroom"`, `= "desktop"`, `= "classroom"`, `"desktop-east"`, `"classroom-east"`,
		`desired_sessions = 2`, `desired_sessions = 1`, `{ image =`, `{ network_mode = "host", image =`)
	d.applyDesktop(t, dir, "classroom")
	with := func(address string) map[string]any {
		body := launch("classroom", "east", "Grace Hopper")
		body["url"] = site.URL + address
		return body
	}
	browser := openBrowser(t, 1280, 860)
	var l, again launched
	d.ask(t, "POST", "/v1/sessions", with("/one"), 201, &l)
	if l.Origin != "staged" {
		t.Fatalf("the session is %s: %v", l.Origin, l.Attempts)
	}
	d.visitDesktop(t, browser, l, "desktop-name")
	showing(t, browser, "the page of the launch's address", desktopPage, 0.95, "desktop-page")
	_, err := chromedp.Run(browser, chromedp.KeyEvent("normal"))
	must(t, err)
	showing(t, browser, "the page has what was typed", pageAnswered, 0.95, "desktop")
	d.ask(t, "POST", "/v1/sessions", with("/two"), 200, &again)
	if again.ID != l.ID {
		t.Fatalf("the second launch has session %s, the first %s", again.ID, l.ID)
	}
	showing(t, browser, "the page of the second launch's address", pageOther, 0.95, "desktop-go")
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
}

// TestADesktopsPictureIsSmall: README's first screen loads it.
func TestADesktopsPictureIsSmall(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(desktopDir, "desktop.png"))
	must(t, err)
	if !bytes.HasPrefix(b, []byte("\x89PNG")) || len(b) > 150<<10 {
		t.Errorf("the picture has %d bytes, or is no PNG", len(b))
	}
}
