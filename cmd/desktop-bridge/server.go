package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// Limits of the server.
const (
	headerTimeout = 10 * time.Second
	// readTimeout and writeTimeout are for a request and its answer. A WebSocket has its own.
	readTimeout  = 30 * time.Second
	writeTimeout = time.Minute
	idleTimeout  = 2 * time.Minute
	drainTimeout = 2 * time.Second
)

//go:embed page
var pageFiles embed.FS

// loader loads the page's modules. It is part of the page itself, so that it cannot fail to arrive.
//
//go:embed load.js
var loader string

// serve serves until ctx ends or the X server is gone. If the session was born with its user, as
// one on demand is, their name is on the desktop from the start.
func serve(ctx context.Context, o options) error {
	s, err := openScreen(o.fonts)
	if err != nil {
		return err
	}
	defer s.close()
	if name := os.Getenv("GREENROOM_USER_NAME"); name != "" {
		if err := s.setName(name); err != nil {
			return err
		}
	}
	if err := s.paint(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	b := &bridge{socket: o.rfb, places: make(chan struct{}, maxViewers)}
	h, err := handler(os.DirFS(o.pages), b, s)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
	gone := make(chan error, 2)
	go func() { gone <- server.Serve(listener) }()
	go func() { gone <- s.follow() }()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-gone:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	// It does not wait for WebSockets: they end with this process.
	return errors.Join(err, ignoring(server.Shutdown(drain), context.DeadlineExceeded))
}

// ignoring returns err, unless it is the one that is expected.
func ignoring(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// desktop is the part of a screen that health asks for.
type desktop interface {
	// windows returns how many windows of programs the desktop shows.
	windows() (int, error)
}

// handler serves the page, noVNC's modules, the WebSocket and the session's health.
func handler(noVNC fs.FS, b *bridge, d desktop) (http.Handler, error) {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	index, err := indexPage(noVNC)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", document(http.FileServerFS(files)))
	mux.Handle("GET /{$}", document(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(index)
	})))
	mux.Handle("GET /novnc/", cached(http.StripPrefix("/novnc/", http.FileServerFS(noVNC))))
	mux.Handle("GET /socket", b)
	ready := &readiness{bridge: b, desktop: d}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready.check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux, nil
}

// indexPage returns the page, which names the modules of noVNC.
func indexPage(noVNC fs.FS) ([]byte, error) {
	all, err := modules(noVNC)
	if err != nil {
		return nil, err
	}
	t, err := template.ParseFS(pageFiles, "page/index.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		Modules []string
		Loader  template.JS
	}{all, template.JS(loader)})
	return b.Bytes(), err
}

// readiness is whether a user can work here.
type readiness struct {
	bridge  *bridge
	desktop desktop
	// shown: there has been a window. A user may close all of them.
	shown atomic.Bool
}

// check returns nil if a user can work here.
func (r *readiness) check() error {
	if err := r.bridge.speaks(); err != nil {
		return err
	}
	n, err := r.desktop.windows()
	if err != nil {
		return err
	}
	if n > 0 {
		r.shown.Store(true)
	}
	if !r.shown.Load() {
		return errors.New("the X server shows no window yet")
	}
	return nil
}

// policy lets the page load what is its own and nothing else. noVNC draws the pointer as a data URL.
var policy = "default-src 'none'; script-src 'self' 'sha256-" + hash(loader) + "'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"

// hash returns what a policy says of a script that it allows.
func hash(script string) string {
	sum := sha256.Sum256([]byte(script))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// document adds the headers of the page.
func document(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// cached lets browsers keep noVNC's modules for as long as a session usually lasts.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "private, max-age=86400")
		next.ServeHTTP(w, r)
	})
}

// banner is what an X server that speaks VNC sends first.
const banner = "RFB 003.008\n"

// readBanner expects the banner.
func readBanner(r io.Reader) error {
	got := make([]byte, len(banner))
	if _, err := io.ReadFull(r, got); err != nil {
		return fmt.Errorf("the X server does not speak VNC: %w", err)
	}
	if string(got) != banner {
		return fmt.Errorf("the X server does not speak VNC: it sent %q, not %q", got, banner)
	}
	return nil
}
