package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// example is an example of deploy/proxies, whose addresses are replaced by the test's.
func example(t *testing.T, name, listen string, broker *url.URL) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../../../deploy/proxies", name))
	must(t, err)
	text := string(b)
	for placed, by := range map[string]string{"127.0.0.1:7480": broker.Host, listen: strings.Replace(listen, "8080", freePort(t), 1)} {
		if strings.Count(text, placed) != 1 {
			t.Fatalf("%s has %q %d times", name, placed, strings.Count(text, placed))
		}
		text = strings.Replace(text, placed, by, 1)
	}
	return text
}

// exampleProxies start the proxies of the examples, and return their addresses and what reads their
// logs.
var exampleProxies = map[string]func(t *testing.T, broker *url.URL) (address string, log func() string){
	"nginx": func(t *testing.T, broker *url.URL) (string, func() string) {
		text := example(t, "nginx.conf", "listen 8080;", broker)
		_, port, _ := strings.Cut(text, "listen ")
		port, _, _ = strings.Cut(port, ";")
		address := "127.0.0.1:" + port
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o755))
		log, accesses, conf := filepath.Join(dir, "error.log"), filepath.Join(dir, "access.log"), filepath.Join(dir, "nginx.conf")
		if !strings.Contains(text, "/var/log/nginx/sessions.log") {
			t.Fatal("the example has no log")
		}
		text = strings.Replace(text, "/var/log/nginx/sessions.log", accesses, 1)
		must(t, os.WriteFile(conf, []byte(fmt.Sprintf(`
pid %[1]s/nginx.pid;
daemon off;
master_process off;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  %[2]s
}
`, dir, strings.Replace(text, "listen "+port, "listen "+address, 1))), 0o644))
		runProxy(t, address, log, exec.Command(onPath(t, "nginx", "nginx-light"), "-p", dir, "-e", log, "-c", conf))
		return address, func() string {
			var all strings.Builder
			for _, name := range []string{accesses, log} {
				b, err := os.ReadFile(name)
				must(t, err)
				all.Write(b)
			}
			return all.String()
		}
	},
	"caddy": func(t *testing.T, broker *url.URL) (string, func() string) {
		text := example(t, "Caddyfile", ":8080 {", broker)
		_, port, _ := strings.Cut(text, "\n:")
		port, _, _ = strings.Cut(port, " {")
		conf := filepath.Join(t.TempDir(), "Caddyfile")
		must(t, os.WriteFile(conf, []byte("{\n\tadmin off\n}\n"+text), 0o644))
		cmd := exec.Command(onPath(t, "caddy", "caddy"), "run", "--config", conf, "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		return "127.0.0.1:" + port, runProxy(t, "127.0.0.1:"+port, "", cmd)
	},
}

// onPath returns a program that make setup installs.
func onPath(t *testing.T, program, debian string) string {
	t.Helper()
	found, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not installed; make setup installs it as root on Debian, else install Debian's %s", program, debian)
	}
	return found
}

// TestTheExamplesOfProxiesLetTheSessionsUserIn, by the launch's token, which becomes a cookie and
// leaves the address, with a WebSocket; and nobody else, whatever address a client names.
func TestTheExamplesOfProxiesLetTheSessionsUserIn(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("proxied"), 2)
	broker, err := url.Parse(d.Broker)
	must(t, err)
	for name, start := range exampleProxies {
		t.Run(name, func(t *testing.T) {
			d.untilReady(t, "proxied", 2)
			var l, other launched
			d.ask(t, "POST", "/v1/sessions", launch("proxied", "east", "petra"), 201, &l)
			d.ask(t, "POST", "/v1/sessions", launch("proxied", "east", "omar"), 201, &other)
			proxy, _ := start(t, broker)
			at := "http://" + proxy + "/s/" + l.ID + "/"
			v := newVisitor(t)
			to, status, text := v.visit(t, at+"?token="+l.Token)
			if to.String() != at || status != 200 || !strings.Contains(text, "petra") {
				t.Fatalf("the token led to %s: %d %s", to, status, text)
			}
			ws := "ws" + strings.TrimPrefix(at, "http") + "echo"
			conn, answer, err := (&websocket.Dialer{Jar: v.Jar}).DialContext(t.Context(), ws, http.Header{"Origin": {"http://" + proxy}})
			if err != nil {
				t.Fatalf("the WebSocket: %v %v", err, answer)
			}
			defer conn.Close()
			echoes(t, conn, "through "+name)
			if conn, _, err := (&websocket.Dialer{Jar: v.Jar}).DialContext(t.Context(), ws, http.Header{"Origin": {"http://elsewhere.example.org"}}); err == nil {
				conn.Close()
				t.Error("a page of another origin has the WebSocket")
			}
			for what, c := range map[string]struct {
				v    visitor
				at   string
				want int
			}{
				"nobody":                      {newVisitor(t), at, 401},
				"another session's token":     {newVisitor(t), at + "?token=" + other.Token, 401},
				"a token that is none":        {newVisitor(t), at + "?token=" + url.QueryEscape("x; Domain=example.org"), 401},
				"the cookie of another":       {v, "http://" + proxy + "/s/" + other.ID + "/", 401},
				"a session that is none":      {v, "http://" + proxy + "/s/gr-none/", 401},
				"an address without sessions": {v, "http://" + proxy + "/", 404},
			} {
				if _, status, text := c.v.visit(t, c.at); status != c.want {
					t.Errorf("%s: %d %s", what, status, text)
				}
			}
			if _, status, text := v.visit(t, at+"?port=none"); status != 200 || !strings.Contains(text, "petra") {
				t.Errorf("a query for the session's own program: %d %s", status, text)
			}
			// A client that names another session's address, and another user, gets its own.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
			must(t, err)
			req.Header.Set("X-Greenroom-Upstream", strings.TrimPrefix(other.page(), "http://"))
			req.Header.Set("X-Greenroom-User-Id", "u-omar")
			answer, err = v.Do(req)
			must(t, err)
			defer answer.Body.Close()
			b := new(strings.Builder)
			must(t, answer.Write(b))
			if answer.StatusCode != 200 || !strings.Contains(b.String(), "petra") {
				t.Errorf("with headers of its own it got %s", b)
			}
			for _, s := range []launched{l, other} {
				d.ask(t, "DELETE", "/v1/sessions/"+s.ID, nil, 204, nil)
			}
			until(t, "the ended session lets nobody in", func() (bool, string) {
				_, status, _ := v.visit(t, at)
				return status == 403 || status == 401, fmt.Sprint(status)
			})
		})
	}
}

// TestTheExamplesOfProxiesKeepTheTokenToThemselves: neither their logs nor the session's program get
// it. The program gets its own cookies as they were.
func TestTheExamplesOfProxiesKeepTheTokenToThemselves(t *testing.T) {
	const token = "S3cretOfTheSession"
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s cookies=%q", r.URL, strings.Join(r.Header["Cookie"], "; "))
		_ = r.Header.Write(w)
	}))
	defer program.Close()
	checker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.ContainsFunc(r.CookiesNamed("greenroom_token"), func(c *http.Cookie) bool { return c.Value == token }) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Greenroom-Upstream", strings.TrimPrefix(program.URL, "http://"))
	}))
	defer checker.Close()
	broker, err := url.Parse(checker.URL)
	must(t, err)
	for name, start := range exampleProxies {
		t.Run(name, func(t *testing.T) {
			proxy, log := start(t, broker)
			at := "http://" + proxy + "/s/gr-1/"
			// get answers without following a redirect: Go's client would name the address with the
			// token as the referrer, which the redirect forbids browsers.
			get := func(at, cookies string) (status int, text string) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
				must(t, err)
				if cookies != "" {
					req.Header.Set("Cookie", cookies)
				}
				answer, err := http.DefaultTransport.RoundTrip(req)
				must(t, err)
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				must(t, err)
				return answer.StatusCode, string(body)
			}
			if status, text := get(at+"?token="+token, ""); status != 303 {
				t.Errorf("the token led to %d %s", status, text)
			}
			for sent, want := range map[string]string{
				"greenroom_token=" + token:                                         "",
				"greenroom_token=" + token + "; a=1":                               "a=1",
				"a=1; greenroom_token=" + token:                                    "a=1",
				"a=1; greenroom_token=" + token + "; b=2; my_greenroom_token=mine": "a=1; b=2; my_greenroom_token=mine",
				"greenroom_token=" + token + ";a=1":                                "a=1",
			} {
				if status, text := get(at+"page?q=1", sent); status != 200 || !strings.HasPrefix(text, fmt.Sprintf("/page?q=1 cookies=%q", want)) || strings.Contains(text, token) {
					t.Errorf("with %s the program got %d %s", sent, status, text)
				}
			}
			const one = "greenroom_token=" + token
			if status, text := get(at, one+"; "+one+"; "+one); status != 200 || strings.Contains(text, token) {
				t.Errorf("of several the program got %d %s", status, text)
			}
			until(t, "the log has the requests", func() (bool, string) {
				return strings.Contains(log(), "/s/gr-1/page"), log()
			})
			if strings.Contains(log(), token) {
				t.Errorf("the log is %s", log())
			}
		})
	}
}
