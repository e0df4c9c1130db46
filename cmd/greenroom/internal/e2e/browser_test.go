package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// openBrowser starts a Chromium for this test, with a window of the given size and a profile
// of its own. It requests nothing but the pages that the test opens.
func openBrowser(t *testing.T, width, height int) context.Context {
	t.Helper()
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.WindowSize(width, height),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("no-pings", true),
		chromedp.UserDataDir(t.TempDir()),
	)
	if os.Getuid() == 0 {
		// Chromium's sandbox does not run as root.
		flags = append(flags, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	// The browser must end before its profile is removed.
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
	})
	must(t, chromedp.Do(ctx))
	return ctx
}

// see opens a page, waits until it shows all the words, and saves a picture of it.
func see(t *testing.T, browser context.Context, url, picture string, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, time.Minute)
	defer cancel()
	must(t, chromedp.Do(ctx, chromedp.Navigate(url)))
	shows(t, browser, picture, words...)
}

// press follows a link by its text, once it is there.
func press(t *testing.T, browser context.Context, link string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, 3*time.Minute)
	defer cancel()
	until(t, "there is a link "+link, func() (bool, string) {
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(
			`(a => (a && a.click(), !!a))([...document.querySelectorAll('a')].find(a => a.innerText.trim() === %q))`, link)))
		return there, fmt.Sprint(err)
	})
}

// shows waits until the page shows all the words, and saves a picture of it, also if it does
// not.
func shows(t *testing.T, browser context.Context, picture string, words ...string) {
	t.Helper()
	// Longer than until waits.
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
	until(t, "the page for "+picture+" shows what it should", func() (bool, string) {
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		if err != nil {
			return false, err.Error()
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false, fmt.Sprintf("no %q in\n%s", w, text)
			}
		}
		return true, ""
	})
}

// keepPicture writes a picture to bin/screenshots, for people to look at.
func keepPicture(name string, png []byte) error {
	dir := "../../../../bin/screenshots"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
}
