package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// server is the demo session itself.
type server struct {
	listen string
	// warmup is how long it is unhealthy after its start; exitAfter and
	// unhealthyAfter make it fail by itself, 0 means never.
	warmup, exitAfter, unhealthyAfter time.Duration

	records recordFile
	// session is its greenroom id, version what the image calls its version.
	session, version string
	started          time.Time
}

// parse reads the flags; each falls back to a variable, for jobspecs that
// rather set an environment.
func parse(args []string) (*server, error) {
	s := &server{session: os.Getenv("NOMAD_JOB_ID"), version: os.Getenv("DEMO_VERSION")}
	var err error
	if s.records, err = openRecords(); err != nil {
		return nil, err
	}
	flags := flag.NewFlagSet("demo-session", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	flags.StringVar(&s.listen, "listen", defaultListen(), "`address` to listen on; the default is Nomad's port \"http\" on every interface")
	durations := []struct {
		into           *time.Duration
		name, variable string
		value          time.Duration
		usage          string
	}{
		{&s.warmup, "warmup", "DEMO_WARMUP", 5 * time.Second, "how long it is unhealthy after its start"},
		{&s.exitAfter, "exit-after", "DEMO_EXIT_AFTER", 0, "exit with status 1 after this long; 0: never"},
		{&s.unhealthyAfter, "unhealthy-after", "DEMO_UNHEALTHY_AFTER", 0, "turn unhealthy after this long; 0: never"},
	}
	for _, d := range durations {
		if text := os.Getenv(d.variable); text != "" {
			if d.value, err = time.ParseDuration(text); err != nil {
				return nil, fmt.Errorf("%s: %w", d.variable, err)
			}
		}
		flags.DurationVar(d.into, d.name, d.value, d.usage+" (or $"+d.variable+")")
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return s, nil
}

func defaultListen() string {
	if port := os.Getenv("NOMAD_PORT_http"); port != "" {
		return ":" + port
	}
	return ":8080"
}

// serve runs until ctx ends or the session is to fail, and returns the exit status.
func (s *server) serve(ctx context.Context) int {
	s.started = time.Now()
	// An on-demand session is born with its user.
	if r, ok := fromEnvironment(viaEnvironment); ok {
		if err := s.records.append(r); err != nil {
			log.Print(err)
			return 1
		}
	}
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		log.Print(err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /served", s.list(record.ofUser))
	mux.HandleFunc("GET /hooks", s.list(func(r record) bool { return r.Via != viaEnvironment }))
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, s.version) })
	mux.HandleFunc("GET /echo", echo)
	mux.HandleFunc("GET /{$}", s.page)
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	log.Printf("demo session: listening on %s, healthy in %v", ln.Addr(), s.warmup)
	var exit <-chan time.Time
	if s.exitAfter > 0 {
		exit = time.After(s.exitAfter)
	}
	code := 0
	select {
	case <-ctx.Done():
	case <-exit:
		log.Printf("demo session: exiting after %v as told", s.exitAfter)
		code = 1
	case err := <-failed:
		log.Print(err)
		return 1
	}
	if err := srv.Close(); err != nil {
		log.Print(err)
	}
	return code
}

// health is 200 from the end of the warm-up on.
func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	up := time.Since(s.started)
	switch {
	case up < s.warmup:
		http.Error(w, fmt.Sprintf("warming up: %v to go", (s.warmup-up).Round(time.Millisecond)), http.StatusServiceUnavailable)
	case s.unhealthyAfter > 0 && up >= s.unhealthyAfter:
		http.Error(w, "unhealthy, as told", http.StatusServiceUnavailable)
	case s.ailing():
		http.Error(w, "unhealthy, as the file says", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// ailing: a file beside the records makes the session unhealthy for as long as it is there.
func (s *server) ailing() bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(string(s.records)), "unhealthy"))
	return err == nil
}

// list serves the records that are wanted: a JSON array, in order.
func (s *server) list(wanted func(record) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		all, err := s.records.read()
		if err != nil {
			serverError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		found := slices.DeleteFunc(all, func(r record) bool { return !wanted(r) })
		if err := json.NewEncoder(w).Encode(found); err != nil {
			log.Print(err)
		}
	}
}

// page greets the user, or says that the session waits for one.
func (s *server) page(w http.ResponseWriter, _ *http.Request) {
	records, err := s.records.read()
	if err != nil {
		serverError(w, err)
		return
	}
	view := view{Session: s.session, Version: s.version, Up: time.Since(s.started).Round(time.Second)}
	for i, r := range records {
		if r.ofUser() && view.User == nil {
			view.User = &records[i]
		}
		if r.URL != "" {
			view.URL = r.URL // the newest
		}
	}
	body, err := view.render()
	if err != nil {
		serverError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// WebSockets to any host: what is in front of the sessions must refuse those to another one.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := w.Write(body); err != nil && !errors.Is(err, net.ErrClosed) {
		log.Print(err)
	}
}

func serverError(w http.ResponseWriter, err error) {
	log.Print(err)
	http.Error(w, "the session's record cannot be read", http.StatusInternalServerError)
}
