package main

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
)

// shown is a desktop with that many windows.
type shown struct {
	n   int
	err error
}

func (s shown) windows() (int, error) { return s.n, s.err }

// vnc is a server on a Unix socket that sends a greeting, and then what it is sent.
func vnc(t *testing.T, greeting string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "rfb")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, greeting)
				b := make([]byte, 1<<10)
				for {
					n, err := conn.Read(b)
					if err != nil || string(b[:n]) == "end" {
						return
					}
					_, _ = conn.Write(b[:n])
				}
			}()
		}
	}()
	return socket
}

// noVNC is like the real one: modules that import each other, in each of the ways that it has.
var noVNC = fstest.MapFS{
	"core/rfb.js": {Data: []byte("/* import nothing from './comment.js' */\nimport { toUnsigned32bit } from './util/int.js';\n" +
		"import * as Log from './util/logging.js';\nimport Inflator from \"./inflator.js\"\nimport './input/keyboard.js';\nconst text = 'from \"./text.js\"';\n")},
	"core/util/int.js":       {},
	"core/util/logging.js":   {},
	"core/input/keyboard.js": {Data: []byte("import {\n  a,\n  b,\n} from '../util/int.js';\n")},
	"core/inflator.js":       {Data: []byte("import { inflate } from '../vendor/pako/inflate.js';\n")},
	"vendor/pako/inflate.js": {Data: []byte("export { x } from '../../core/inflator.js';\n")},
}

// served is the bridge of a VNC server.
func served(t *testing.T, socket string, d desktop) *httptest.Server {
	t.Helper()
	b := &bridge{socket: socket, places: make(chan struct{}, maxViewers)}
	h, err := handler(noVNC, b, d)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func page(t *testing.T, s *httptest.Server, origin string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(s.URL, "http", "ws", 1)+"/socket", http.Header{"Origin": {origin}})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	}
	return conn, answer, err
}

func read(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	kind, b, err := conn.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage {
		t.Fatalf("read: kind %d, %v", kind, err)
	}
	return string(b)
}

func TestASessionIsHealthyOnlyWithVNCAndAWindow(t *testing.T) {
	speaks := vnc(t, banner)
	for name, c := range map[string]struct {
		socket string
		shows  shown
		want   int
		text   string
	}{
		"no X server":       {filepath.Join(t.TempDir(), "none"), shown{n: 1}, 503, "no such file"},
		"another protocol":  {vnc(t, "SSH-2.0-OpenSSH\r\n"), shown{n: 1}, 503, "does not speak VNC"},
		"no window yet":     {speaks, shown{}, 503, "no window"},
		"an X server hangs": {speaks, shown{err: errors.New("no reply")}, 503, "no reply"},
		"ready":             {speaks, shown{n: 1}, 200, "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := http.Get(served(t, c.socket, c.shows).URL + "/health")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.want || !strings.Contains(string(text), c.text) {
				t.Errorf("%d %q %v, want %d with %q", answer.StatusCode, text, err, c.want, c.text)
			}
		})
	}
}

// closing is a desktop whose user closes its only window.
type closing struct{ left int }

func (c *closing) windows() (int, error) {
	c.left = max(0, c.left-1)
	return c.left, nil
}

func TestAUserMayCloseEveryWindow(t *testing.T) {
	s := served(t, vnc(t, banner), &closing{left: 2})
	for i := range 3 {
		answer, err := http.Get(s.URL + "/health")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("check %d: %d", i, answer.StatusCode)
		}
	}
}

// What either side sends arrives at the other, and the end of one is the end of both.
func TestTheSocketCarriesBothWays(t *testing.T) {
	s := served(t, vnc(t, banner), shown{n: 1})
	conn, _, err := page(t, s, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, conn); got != banner {
		t.Errorf("first came %q", got)
	}
	for _, text := range []string{"hello", "again"} {
		if err := conn.WriteMessage(websocket.BinaryMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, conn); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte("end")); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, b, err := conn.ReadMessage(); err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("after the VNC server's end came %q, %v", b, err)
	}
}

func TestTheSocketIsForPagesOfItsOwnHost(t *testing.T) {
	s := served(t, vnc(t, banner), shown{n: 1})
	if _, answer, err := page(t, s, "https://elsewhere.example"); err == nil || answer == nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("another site's page: %v %v", answer, err)
	}
}

// A page that is closed leaves its place to another.
func TestPagesAreBounded(t *testing.T) {
	s := served(t, vnc(t, banner), shown{n: 1})
	var open []*websocket.Conn
	for range maxViewers {
		conn, _, err := page(t, s, s.URL)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if _, answer, err := page(t, s, s.URL); err == nil || answer == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one page too many: %v %v", answer, err)
	}
	open[0].Close()
	deadline := time.Now().Add(time.Minute)
	for {
		if _, _, err := page(t, s, s.URL); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("a closed page keeps its place: %v", err)
		}
	}
}

// A browser that follows the page's list has every module, and no more.
func TestThePageNamesEveryModule(t *testing.T) {
	got, err := modules(noVNC)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(noVNC)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	answer, err := http.Get(served(t, vnc(t, banner), shown{n: 1}).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(page), `<link rel="modulepreload" href="novnc/vendor/pako/inflate.js">`) ||
		!strings.Contains(string(page), "<script>"+loader+"</script>") {
		t.Errorf("the page: %v\n%s", err, page)
	}
	if _, err := modules(fstest.MapFS{client: noVNC[client]}); err == nil || !strings.Contains(err.Error(), "core/util/int.js") {
		t.Errorf("without one of its modules: %v", err)
	}
}

// The page is whole, and may load nothing but its own.
func TestThePage(t *testing.T) {
	s := served(t, vnc(t, banner), shown{n: 1})
	for path, kind := range map[string]string{"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css", "/novnc/core/rfb.js": "text/javascript"} {
		answer, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 200 || !strings.HasPrefix(answer.Header.Get("Content-Type"), kind) || (answer.Header.Get("Content-Security-Policy") != policy) != strings.HasPrefix(path, "/novnc/") {
			t.Errorf("%s: %d %v", path, answer.StatusCode, answer.Header)
		}
	}
}
