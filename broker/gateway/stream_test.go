package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/internal/staging"
)

// echo is a session's WebSocket that repeats what it gets.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	// The session's program checks the origin itself: it sees the host that its user sees.
	conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
})

// dial opens a WebSocket as the browser that has access, from a page of the origin.
func (b *browser) dial(at, origin string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Jar: b.Jar, NetDialContext: loopback}
	conn, answer, err := d.DialContext(b.t.Context(), "ws"+strings.TrimPrefix(at, "http"), http.Header{"Origin": {origin}})
	if err == nil {
		b.t.Cleanup(func() { conn.Close() })
	}
	return conn, answer, err
}

// says sends a message and expects it back.
func says(t testing.TB, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("%q %v, want %q", got, err, text)
	}
}

// TestAWebSocketGoesThrough in both modes, with short and long messages, and only from a page of
// its session.
func TestAWebSocketGoesThrough(t *testing.T) {
	for name, domain := range map[string]string{"by path": "", "by host name": "localhost"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, domain, gateway.Options{})
			s := w.session("gr-1", echo)
			b := newBrowser(t)
			at := w.open(b, s)
			origin := trimmed(at)
			if domain == "" {
				origin = w.server.URL
			}
			conn, _, err := b.dial(at+"ws", origin)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1, 4096, 1 << 20} {
				says(t, conn, strings.Repeat("x", size))
			}
			if _, answer, err := b.dial(at+"ws", "http://evil.example.org"); err == nil || answer.StatusCode != http.StatusForbidden {
				t.Errorf("a page of another origin: %v %v", answer, err)
			}
			if _, answer, err := newBrowser(t).dial(at+"ws", origin); err == nil || answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("another browser: %v %v", answer, err)
			}
			conn.Close()
			eventually(t, "the socket is counted out", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.sockets == 0 })
		})
	}
}

// TestTheEndOfASessionClosesWhatIsOpen, by its event: a WebSocket, a stream and a wait. The other
// session's stay open.
func TestTheEndOfASessionClosesWhatIsOpen(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	begun := make(chan bool, 2)
	program := http.NewServeMux()
	program.Handle("/ws", echo)
	program.HandleFunc("/stream", func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(rw, "data: 1")
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	})
	program.HandleFunc("/wait", func(_ http.ResponseWriter, r *http.Request) {
		begun <- true
		<-r.Context().Done()
	})
	mine, other := w.session("gr-1", program), w.session("gr-2", program)
	b := newBrowser(t)
	at, there := w.open(b, mine), w.open(b, other)
	conn, _, err := b.dial(at+"ws", w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	says(t, conn, "hello")
	stays, _, err := b.dial(there+"ws", w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := b.Get(at + "stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	waited := make(chan page, 1)
	go func() { waited <- b.get(at + "wait") }()
	<-begun
	w.events <- staging.Event{Type: staging.EventEnding, Session: mine.ID}
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the WebSocket got a message after the end")
	}
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream ended as if it were whole")
	}
	if got := <-waited; got.status != http.StatusGone {
		t.Errorf("the wait was answered with %d", got.status)
	}
	if got := b.get(at, "Accept: text/html"); got.status != http.StatusGone || !strings.Contains(got.body, "This session has ended") {
		t.Errorf("after the end: %d %s", got.status, got.body)
	}
	says(t, stays, "still here")
}

// TestWhatIsKnownGoesOnWhileTheServersAreAway: open and new requests and WebSockets, and links,
// which count once at this gateway then.
func TestWhatIsKnownGoesOnWhileTheServersAreAway(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s, unknown := w.session("gr-1", echo), w.session("gr-2", echo)
	b := newBrowser(t)
	at := w.open(b, s)
	conn, _, err := b.dial(at, w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	link, other := w.link(s, "", ""), w.link(unknown, "", "")
	w.takeAway("all")
	says(t, conn, "hello")
	again, _, err := b.dial(at, w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	says(t, again, "hello again")
	if got := newBrowser(t).get(link); got.status != http.StatusSeeOther {
		t.Errorf("a link to a known session: %d %s", got.status, got.body)
	}
	if got := newBrowser(t).get(link); got.status != http.StatusUnauthorized {
		t.Errorf("its second use: %d", got.status)
	}
	if got := newBrowser(t).get(other); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("a link to a session that is not known: %d", got.status)
	}
	w.takeAway("redis")
	if got := newBrowser(t).get(other); got.status != http.StatusSeeOther {
		t.Errorf("the same link, once the session can be read: %d %s", got.status, got.body)
	}
	w.takeAway("")
	says(t, conn, "and on")
}

// TestBodiesAreStreamed: what a side sends is at the other before it has sent all.
func TestBodiesAreStreamed(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	program := http.NewServeMux()
	program.HandleFunc("/events", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		body := bufio.NewReader(r.Body)
		_ = http.NewResponseController(rw).EnableFullDuplex()
		for {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprintf(rw, "data: %s\n", line)
			_ = http.NewResponseController(rw).Flush()
		}
	})
	program.HandleFunc("/sum", func(rw http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		fmt.Fprintf(rw, "%d %x", n, sum.Sum(nil))
	})
	program.HandleFunc("/large", func(rw http.ResponseWriter, _ *http.Request) {
		for range 16 {
			_, _ = rw.Write(bytes.Repeat([]byte("y"), 1<<20))
		}
	})
	b := newBrowser(t)
	at := w.open(b, w.session("gr-1", program))

	in, out := io.Pipe()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"events", in)
	answered := make(chan *http.Response, 1)
	go func() {
		answer, err := b.Do(r)
		if err != nil {
			t.Error(err)
		}
		answered <- answer
	}()
	fmt.Fprintln(out, "one")
	answer := <-answered
	defer answer.Body.Close()
	got := bufio.NewReader(answer.Body)
	for _, word := range []string{"one", "two", "three"} {
		if line, err := got.ReadString('\n'); err != nil || line != "data: "+word+"\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = got.ReadString('\n')
		switch word {
		case "one":
			fmt.Fprintln(out, "two")
		case "two":
			fmt.Fprintln(out, "three")
		}
	}
	out.Close()

	const size = 16 << 20
	sum := sha256.New()
	body := io.TeeReader(io.LimitReader(rand.Reader, size), sum)
	if got := b.send(http.MethodPut, at+"sum", body); got.body != fmt.Sprintf("%d %x", size, sum.Sum(nil)) {
		t.Errorf("%d bytes became %s", size, got.body)
	}
	if got := b.get(at + "large"); len(got.body) != 16<<20 {
		t.Errorf("a large answer has %d bytes", len(got.body))
	}
}

// TestADeadSessionIsAPageThatOffersTheNextStep, and costs its own user alone.
func TestADeadSessionIsAPageThatOffersTheNextStep(t *testing.T) {
	w := newWorld(t, "", gateway.Options{Portal: "https://portal.example.org/"})
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := w.sessionAt("gr-1", dead.Addr().String())
	dead.Close()
	b := newBrowser(t)
	at := w.open(b, s)
	got := b.get(at, "Accept: text/html")
	for _, want := range []string{"Your session does not answer", "Try again", "End this session", `href="https://portal.example.org/"`} {
		if got.status != http.StatusBadGateway || !strings.Contains(got.body, want) {
			t.Errorf("%d, without %q: %s", got.status, want, got.body)
		}
	}
	if got := b.get(at); got.status != http.StatusBadGateway || !strings.Contains(got.body, `"code":"session_down"`) {
		t.Errorf("a program: %d %s", got.status, got.body)
	}
	// Its port may be another session's by now, so it is read again first.
	reads := w.readings()
	b.get(at)
	if w.readings() == reads {
		t.Error("a session that took no connection was used again from memory")
	}
	if got := b.send(http.MethodPost, at+".greenroom/end", nil); got.status != http.StatusForbidden || len(w.ended) != 0 {
		t.Errorf("without an origin: %d", got.status)
	}
	got = b.send(http.MethodPost, at+".greenroom/end", nil, "Origin: "+w.server.URL, "Accept: text/html")
	if got.status != http.StatusOK || !strings.Contains(got.body, "You have ended this session") || fmt.Sprint(w.ended) != "[gr-1 by user:u gr-1]" {
		t.Errorf("%d %s, ended %v", got.status, got.body, w.ended)
	}
}

// TestASlowOrBrokenSessionIsItsOwnPage.
func TestASlowOrBrokenSessionIsItsOwnPage(t *testing.T) {
	patient, hasty := newWorld(t, "", gateway.Options{}), newWorld(t, "", gateway.Options{HeaderTimeout: 50e6})
	program := http.NewServeMux()
	release := make(chan bool)
	defer close(release)
	program.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) { <-release })
	program.HandleFunc("/broken", func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(rw).Hijack()
		conn.Close()
	})
	program.HandleFunc("/headers", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X", strings.Repeat("x", 1<<20))
	})
	program.HandleFunc("/cut", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(rw, "half")
	})
	b := newBrowser(t)
	at, atHasty := patient.open(b, patient.session("gr-1", program)), hasty.open(b, hasty.session("gr-1", program))
	for path, want := range map[string]int{atHasty + "slow": 504, at + "broken": 502, at + "headers": 502} {
		if got := b.get(path); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if answer, err := b.Get(at + "cut"); err == nil {
		defer answer.Body.Close()
		if got, err := io.ReadAll(answer.Body); err == nil {
			t.Errorf("an answer that was cut off looks whole: %q", got)
		}
	}
}

// TestWhatIsOpenAtOnceIsBounded, for a session and in all: the others go on.
func TestWhatIsOpenAtOnceIsBounded(t *testing.T) {
	w := newWorld(t, "", gateway.Options{MaxOpenPerSession: 2, MaxOpen: 3})
	b := newBrowser(t)
	mine, other := w.open(b, w.session("gr-1", echo)), w.open(b, w.session("gr-2", echo))
	open := func(at string) (*websocket.Conn, int) {
		conn, answer, err := b.dial(at, w.server.URL)
		if err != nil && answer == nil {
			t.Fatal(err)
		}
		return conn, answer.StatusCode
	}
	first, _ := open(mine)
	open(mine)
	if _, got := open(mine); got != http.StatusServiceUnavailable {
		t.Errorf("the third of a session: %d", got)
	}
	if _, got := open(other); got != http.StatusSwitchingProtocols {
		t.Errorf("the first of another session: %d", got)
	}
	if _, got := open(other); got != http.StatusServiceUnavailable {
		t.Errorf("the fourth in all: %d", got)
	}
	first.Close()
	eventually(t, "there is room again", func() bool { _, got := open(mine); return got == http.StatusSwitchingProtocols })
}

// TestUseIsNoted of requests and of what goes through a WebSocket.
func TestUseIsNoted(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	b := newBrowser(t)
	at := w.open(b, w.session("gr-1", echo))
	noted := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.used["gr-1"] }
	if noted() != 0 {
		t.Error("a link that was opened counts as a use")
	}
	conn, _, err := b.dial(at, w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	before := noted()
	if before == 0 {
		t.Error("a request is no use")
	}
	eventually(t, "a message counts as a use", func() bool { says(t, conn, "x"); return noted() > before })
}

// TestAClientThatHangsUpCostsNothing: its request to the session ends.
func TestAClientThatHangsUpCostsNothing(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	began, ended := make(chan bool, 1), make(chan bool, 1)
	b := newBrowser(t)
	at := w.open(b, w.session("gr-1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
		ended <- true
	})))
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-began
		hangUp()
	}()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if answer, err := b.Do(r); err == nil {
		answer.Body.Close()
		t.Error("it was answered")
	}
	<-ended
	eventually(t, "it is counted as hung up", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.last[499] == 1 })
}
