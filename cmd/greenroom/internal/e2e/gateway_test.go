package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/devcluster"
)

// link makes a link to a session, by a broker.
func (d *devProcess) link(t *testing.T, l launched) string {
	t.Helper()
	var made struct{ URL string }
	d.ask(t, "POST", "/v1/sessions/"+l.ID+"/link", nil, 200, &made)
	return made.URL
}

// visitor is a browser without a screen.
type visitor struct{ *http.Client }

func newVisitor(t *testing.T) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return visitor{&http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}}
}

// visit opens an address, and returns where it led, with its status and text.
func (v visitor) visit(t *testing.T, at string) (to *url.URL, status int, text string) {
	t.Helper()
	answer, err := v.Get(at)
	must(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.Request.URL, answer.StatusCode, string(b)
}

// echoes expects a message to come back.
func echoes(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	must(t, conn.WriteMessage(websocket.TextMessage, []byte(text)))
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("%q came back as %q: %v", text, got, err)
	}
}

// TestALaunchLeadsIntoTheSession: the answer has a link, which a browser follows to the session's
// page. Nothing of the code is left in the address. The link counts once; another session's cookie
// does not count.
func TestALaunchLeadsIntoTheSession(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	var l, other launched
	d.ask(t, "POST", "/v1/sessions", launch("demo", "east", "wanda"), 201, &l)
	d.ask(t, "POST", "/v1/sessions", launch("demo", "east", "otto"), 201, &other)
	if !strings.HasPrefix(l.ConnectURL, d.Gateway+"/s/"+l.ID+"/.greenroom/open?code=") {
		t.Fatalf("connect_url is %q", l.ConnectURL)
	}
	browser := openBrowser(t, 900, 600)
	see(t, browser, l.ConnectURL, "gateway-by-path", "wanda")
	at, err := chromedp.Run(browser, chromedp.Evaluate[string](`location.href + ' from ' + document.referrer`))
	must(t, err)
	if at != d.Gateway+"/s/"+l.ID+"/ from " {
		t.Errorf("the browser is at %s", at)
	}
	see(t, browser, d.Gateway+"/s/"+other.ID+"/", "gateway-of-another-user", "Open your session by its link")
	if _, status, text := newVisitor(t).visit(t, l.ConnectURL); status != http.StatusUnauthorized || !strings.Contains(text, "link_spent") {
		t.Errorf("the second use of the link: %d %s", status, text)
	}
	t.Setenv("GREENROOM_ADDR", d.Broker)
	t.Setenv("GREENROOM_TOKEN", "")
	fresh := strings.TrimSpace(clitest.Real(t).Want(exit.OK, []string{"sessions", "link", l.ID, "-o", "name"}))
	if _, status, text := newVisitor(t).visit(t, fresh); status != http.StatusOK || !strings.Contains(text, "wanda") {
		t.Errorf("%s of greenroom sessions link: %d %s", fresh, status, text)
	}
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	see(t, browser, d.Gateway+"/s/"+l.ID+"/", "gateway-after-the-end", "This session has ended", "Launch a new one")
	d.ask(t, "DELETE", "/v1/sessions/"+other.ID, nil, 204, nil)
}

// freePort returns a port of loopback on which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// TestEachSessionHasAHostNameOfItsOwn in a browser, where the gateway has a domain: a gateway that
// runs in a broker, which makes links to it.
func TestEachSessionHasAHostNameOfItsOwn(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	port := freePort(t)
	servers := &devcluster.Cluster{NomadAddr: d.Nomad, ConsulAddr: d.Consul, RedisAddr: d.Redis}
	b := startAgent(t, servers, "broker", "--gateway", "--gateway-bind", "127.0.0.1:"+port, "--gateway-url", "http://desk.localhost:"+port, "--gateway-domain", "desk.localhost")
	by := &devProcess{agent: b, readyFile: readyFile{Broker: "http://" + b.Address, Consul: d.Consul, Nomad: d.Nomad, Redis: d.Redis}}
	var l launched
	by.ask(t, "POST", "/v1/sessions", launch("demo", "east", "hanna"), 201, &l)
	origin := "http://" + l.ID + ".desk.localhost:" + port
	if !strings.HasPrefix(l.ConnectURL, origin+"/.greenroom/open?code=") {
		t.Fatalf("connect_url is %q", l.ConnectURL)
	}
	browser := openBrowser(t, 900, 600)
	see(t, browser, l.ConnectURL, "gateway-by-host-name", "hanna")
	echoed, err := chromedp.Run(browser, chromedp.Evaluate[string](`new Promise((done, failed) => {
		const ws = new WebSocket('ws://' + location.host + '/echo')
		ws.onopen = () => ws.send('from ' + location.href)
		ws.onmessage = m => done(m.data)
		ws.onerror = () => done('an error')
	})`, chromedp.EvalAwaitPromise))
	must(t, err)
	if echoed != "from "+origin+"/" {
		t.Errorf("the WebSocket answered %q", echoed)
	}
	// Another session's page, on the same site, is another origin.
	var other launched
	by.ask(t, "POST", "/v1/sessions", launch("demo", "east", "ingo"), 201, &other)
	see(t, browser, by.link(t, other), "gateway-by-another-host-name", "ingo")
	reached, err := chromedp.Run(browser, chromedp.Evaluate[string](fmt.Sprintf(`new Promise(done => {
		const ws = new WebSocket('%s/echo')
		ws.onopen = () => done('open')
		ws.onerror = () => done('refused')
	})`, strings.Replace(origin, "http", "ws", 1)), chromedp.EvalAwaitPromise))
	must(t, err)
	if reached != "refused" {
		t.Errorf("another session's page found the WebSocket %s", reached)
	}
	for _, s := range []launched{l, other} {
		d.ask(t, "DELETE", "/v1/sessions/"+s.ID, nil, 204, nil)
	}
}

// TestAWebSocketLivesAsLongAsItsSession: it goes on while Redis and the broker are away, and ends
// with the session, and with its gateway; the other gateway has the same session at once, by the
// same cookie. What goes through counts as a keepalive.
func TestAWebSocketLivesAsLongAsItsSession(t *testing.T) {
	port := freePort(t)
	c, d := startServers(t, []string{"dc1"}, "--gateway-url", "http://127.0.0.1:"+port)
	startAgent(t, c, "scaler")
	image := quickImage("talking")
	d.ask(t, "PUT", "/v1/images/talking", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/talking", `{"zone":"east","image":"talking","desired_sessions":2}`, 201, nil)
	d.untilReady(t, "talking", 2)
	site := []string{"--gateway-url", "http://127.0.0.1:" + port}
	one := startAgent(t, c, "gateway", site...)
	two := startAgent(t, c, "gateway", site...)
	var l, ends launched
	d.ask(t, "POST", "/v1/sessions", launch("talking", "east", "tara"), 201, &l)
	d.ask(t, "POST", "/v1/sessions", launch("talking", "east", "emil"), 201, &ends)
	v := newVisitor(t)
	// Links lead to the address that a balancer before the gateways would have.
	by := func(a *agent, link string) string { return strings.Replace(link, "127.0.0.1:"+port, a.Address, 1) }
	at, status, text := v.visit(t, by(one, l.ConnectURL))
	if status != http.StatusOK || !strings.Contains(text, "tara") {
		t.Fatalf("the link led to %s: %d %s", at, status, text)
	}
	if _, status, _ := newVisitor(t).visit(t, by(two, l.ConnectURL)); status != http.StatusUnauthorized {
		t.Errorf("the second use of the link, at the other gateway: %d", status)
	}
	there, status, _ := v.visit(t, by(one, ends.ConnectURL))
	if status != http.StatusOK {
		t.Fatalf("the other link: %d", status)
	}
	conn, ended := v.socket(t, at, port), v.socket(t, there, port)
	echoes(t, conn, "hello")
	echoes(t, ended, "hello")
	until(t, "the use is a keepalive", func() (bool, string) {
		r, err := d.call("GET", "/v1/sessions/"+l.ID, "")
		return err == nil && strings.Contains(string(r.body), `"keepalive_at"`), fmt.Sprint(r, err)
	})

	d.ask(t, "DELETE", "/v1/sessions/"+ends.ID, nil, 204, nil)
	if _, _, err := ended.ReadMessage(); err == nil {
		t.Error("a WebSocket outlived its session")
	}
	if _, status, _ := v.visit(t, there.String()); status != http.StatusGone {
		t.Errorf("the page of a session that has ended: %d", status)
	}

	must(t, c.Redis.Kill())
	d.agent.End(t, syscall.SIGKILL)
	echoes(t, conn, "without Redis and the broker")
	if _, status, _ := v.visit(t, at.String()); status != http.StatusOK {
		t.Errorf("the page while Redis is away: %d", status)
	}
	// The other gateway does not know the session yet, and reads it from Consul and Nomad.
	again := *at
	again.Host = two.Address
	if _, status, text := v.visit(t, again.String()); status != http.StatusOK {
		t.Errorf("the other gateway while Redis is away: %d %s", status, text)
	}
	one.End(t, syscall.SIGKILL)
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("a WebSocket outlived its gateway")
	}
	echoes(t, v.socket(t, &again, port), "by the other gateway")
}

// socket opens the echo of a session as its page does, which is at the port of the balancer.
func (v visitor) socket(t *testing.T, at *url.URL, port string) *websocket.Conn {
	t.Helper()
	dial := websocket.Dialer{Jar: v.Jar, HandshakeTimeout: time.Minute}
	site := "127.0.0.1:" + port
	// The session's program compares the origin with the host, as a balancer passes it on.
	conn, answer, err := dial.DialContext(t.Context(), "ws://"+at.Host+at.Path+"echo", http.Header{"Origin": {"http://" + site}, "Host": {site}})
	if err != nil {
		t.Fatalf("%v %v", err, answer)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
