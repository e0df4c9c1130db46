package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// nginx starts a real nginx in front of a session, which asks the broker about every request
// and passes the user on. It returns the address of nginx.
func nginx(t *testing.T, broker, session string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatal("nginx is not installed; make setup installs it as root on Debian, else install Debian's nginx-light")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	conf := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf(`
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
daemon off;
master_process off;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s;
    location ~ ^/s/(?<id>[a-z0-9-]+)/(?<rest>.*)$ {
      auth_request /authorize;
      auth_request_set $user_id $upstream_http_x_greenroom_user_id;
      auth_request_set $user_name $upstream_http_x_greenroom_user_name;
      add_header X-Seen-User-Id $user_id;
      add_header X-Seen-User-Name $user_name;
      proxy_pass %[4]s/$rest;
    }
    location = /authorize {
      internal;
      proxy_pass %[3]s/v1/sessions/$id/authorize;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Forwarded-Host $host;
    }
  }
}
`, dir, address, broker, session)), 0o644))
	runProxy(t, address, filepath.Join(dir, "error.log"), exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf))
	return address
}

// runProxy runs a proxy until the test ends, and waits until it listens.
func runProxy(t *testing.T, address, log string, cmd *exec.Cmd) (output func() string) {
	t.Helper()
	var out buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			written, _ := os.ReadFile(log)
			t.Logf("%s: %s%s", filepath.Base(cmd.Path), out.String(), written)
		}
	})
	until(t, "the proxy listens", func() (bool, string) {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", filepath.Base(cmd.Path), out.String())
		default:
		}
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil, out.String()
	})
	return out.String
}

// TestNginxLetsOnlyTheSessionsUserThrough: a request passes with the session's own access
// token and an origin of the zone, and with nothing else.
func TestNginxLetsOnlyTheSessionsUserThrough(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "guarded", "dc1", func(z *staging.Zone) { z.AllowOriginDomain = "example.org" })
	image := quickImage("guarded")
	image.ConnectURL = "https://desk.example.org/s/{session_id}/?token={token}"
	d.stage(t, image, 2, func(c *staging.Config) { c.Zone = "guarded" })
	d.untilReady(t, "guarded", 2)
	name := "Zoë \"Z\"\nO'Neil 😀"
	var l, other launched
	body := map[string]any{"image": "guarded", "zone": "guarded", "user": map[string]string{"id": "u-7", "name": name}}
	d.ask(t, "POST", "/v1/sessions", body, 201, &l, "Idempotency-Key", t.Name())
	d.ask(t, "POST", "/v1/sessions", launch("guarded", "guarded", "other"), 201, &other)
	if l.Token == "" || l.Token == other.Token || l.ConnectURL != "https://desk.example.org/s/"+l.ID+"/?token="+l.Token {
		t.Errorf("token %q, connect_url %q", l.Token, l.ConnectURL)
	}
	// Only the launch and its repeats return the token.
	var again launched
	d.ask(t, "POST", "/v1/sessions", body, 201, &again, "Idempotency-Key", t.Name())
	if again.Token != l.Token {
		t.Error("a repeat of the launch returns another token")
	}
	for _, path := range []string{"/v1/sessions/" + l.ID, "/v1/sessions"} {
		if r := d.ask(t, "GET", path, nil, 200, nil); strings.Contains(string(r.body), l.Token) || strings.Contains(string(r.body), `"token"`) {
			t.Errorf("GET %s tells the token", path)
		}
	}

	proxy := nginx(t, d.Broker, l.page())
	ask := func(path string, headers ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+proxy+path, nil)
		must(t, err)
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		must(t, err)
		return res
	}
	at := "/s/" + l.ID + "/"
	for _, c := range []struct {
		what    string
		path    string
		headers []string
		want    int
	}{
		{"the token in the header", at, []string{"Authorization", "Bearer " + l.Token, "Origin", "https://desk.example.org"}, 200},
		{"the token in the query, as connect_url has it", at + "?token=" + l.Token, nil, 200},
		{"the token in a cookie", at, []string{"Cookie", "greenroom_token=" + l.Token, "Origin", "https://example.org"}, 200},
		{"no token", at, nil, 401},
		{"another session's token", at, []string{"Authorization", "Bearer " + other.Token}, 401},
		{"a token cut short", at, []string{"Authorization", "Bearer " + l.Token[:20]}, 401},
		{"a session that is none", "/s/gr-none/", []string{"Authorization", "Bearer " + l.Token}, 401},
		{"a foreign origin", at, []string{"Authorization", "Bearer " + l.Token, "Origin", "https://example.org.evil.net"}, 403},
		{"an origin that is none", at, []string{"Authorization", "Bearer " + l.Token, "Origin", "null"}, 403},
	} {
		res := ask(c.path, c.headers...)
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.what, res.StatusCode, c.want)
		}
		if c.want == 200 && (res.Header.Get("X-Seen-User-Id") != "u-7" || res.Header.Get("X-Seen-User-Name") != "Zo%C3%AB%20%22Z%22%0AO%27Neil%20%F0%9F%98%80") {
			t.Errorf("%s: the proxy saw %q, %q", c.what, res.Header.Get("X-Seen-User-Id"), res.Header.Get("X-Seen-User-Name"))
		}
	}
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	until(t, "the ended session lets nobody through", func() (bool, string) {
		code := ask(at, "Authorization", "Bearer "+l.Token).StatusCode
		return code == 403, fmt.Sprint(code)
	})
	for _, agent := range []string{"broker", "scaler"} {
		log, err := os.ReadFile(filepath.Join(d.dir(t), "greenroom", agent+".log"))
		must(t, err)
		if strings.Contains(string(log), l.Token) {
			t.Errorf("the token is in the log of the %s", agent)
		}
	}
}
