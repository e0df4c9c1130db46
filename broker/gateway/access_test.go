package gateway_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/internal/staging"
)

// show answers with what the session's program got.
var show = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s host=%s", r.Method, r.URL.RequestURI(), r.Host)
	for _, key := range []string{"Cookie", "X-Greenroom-User-Id", "X-Greenroom-User-Name", "X-Greenroom-Session-Id", "X-Forwarded-Prefix", "X-Forwarded-For", "X-Request-Id"} {
		fmt.Fprintf(w, " %s=%q", key, r.Header.Values(key))
	}
})

// TestALinkOpensASessionOnce: by path and by host name, its code becomes a cookie, leaves the
// address, and counts no more.
func TestALinkOpensASessionOnce(t *testing.T) {
	for name, domain := range map[string]string{"by path": "", "by host name": "localhost"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, domain, gateway.Options{})
			s := w.session("gr-1", show)
			link := w.link(s, "", "/lab?x=1")
			b := newBrowser(t)
			got := b.get(link)
			to := got.header.Get("Location")
			if got.status != http.StatusSeeOther || !strings.HasSuffix(to, "/lab?x=1") || strings.Contains(to, "code") {
				t.Fatalf("the link was answered with %d to %q", got.status, to)
			}
			if cookie := got.header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, "Domain") {
				t.Errorf("the cookie is %s", cookie)
			}
			if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("the redirect has %v", got.header)
			}
			u, _ := url.Parse(link)
			at, _ := u.Parse(to)
			if got := b.get(at.String()); got.status != http.StatusOK || !strings.Contains(got.body, "GET /lab?x=1 ") {
				t.Errorf("the session answered %d %s", got.status, got.body)
			}
			if got := newBrowser(t).get(link, "Accept: text/html"); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "counts no more") {
				t.Errorf("the second use was answered with %d %s", got.status, got.body)
			}
			if got := b.get(link); got.status != http.StatusSeeOther {
				t.Errorf("the browser that has access was answered with %d when it went back", got.status)
			}
			code := u.Query().Get("code")
			if log := w.log.String(); strings.Contains(log, code) || !strings.Contains(log, "status=303") || !strings.Contains(log, "user_id=\"u gr-1\"") {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// TestACookieOpensItsSessionAlone, and nothing without one, or with another claim's.
func TestACookieOpensItsSessionAlone(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	mine, other := w.session("gr-1", show), w.session("gr-2", show)
	b := newBrowser(t)
	at := w.open(b, mine)
	u, _ := url.Parse(at)
	pass := b.Jar.Cookies(u)[0]
	foreign := strings.Replace(at, mine.ID, other.ID, 1)
	reads := w.readings()
	for name, got := range map[string]page{
		"no cookie":                          newBrowser(t).get(at),
		"another session":                    b.get(foreign),
		"the cookie under the other's name":  newBrowser(t).get(foreign, "Cookie: greenroom_gr-2="+pass.Value),
		"an invented one":                    newBrowser(t).get(at, "Cookie: "+pass.Name+"=zzzzzz.."+strings.Repeat("x", 22)+"."+strings.Repeat("x", 43)),
		"a code in place of the cookie":      newBrowser(t).get(at, "Cookie: "+pass.Name+"="+codeOf(t, w.link(mine, "", ""))),
		"a long one":                         newBrowser(t).get(at, "Cookie: "+pass.Name+"="+strings.Repeat("x", 4000)),
		"the cookie in place of a link code": newBrowser(t).get(at + ".greenroom/open?code=" + pass.Value),
	} {
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if w.readings() != reads {
		t.Error("who has no access made the gateway read sessions")
	}
	// The session's id is another user's now: that cannot be, and is refused all the same.
	mine.Claim = "another"
	w.put(mine)
	w.events <- staging.Event{Type: staging.EventAssigned, Session: mine.ID}
	eventually(t, "the cookie of an older claim is refused", func() bool { return b.get(at).status == http.StatusUnauthorized })
}

func codeOf(t *testing.T, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("code")
}

func (w *world) readings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// TestWhatASessionsProgramSees: its user, and no cookie of greenroom's. It sets no cookie for
// others.
func TestWhatASessionsProgramSees(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, c := range []string{"a=1; Path=/; Domain=example.org; HttpOnly", "b=2", "c=3; path=/lab", "greenroom_gr-2=x", "__Host-greenroom_session=y; Path=/"} {
			rw.Header().Add("Set-Cookie", c)
		}
		rw.Header().Set("X-Greenroom-User-Id", "nonsense")
		rw.Header().Set("Location", "/next?y")
		rw.WriteHeader(http.StatusFound)
		show(rw, r)
	}))
	b := newBrowser(t)
	at := w.open(b, s)
	got := b.get(at+"a%2Fb?token=1", "Cookie: own=1; greenroom_login=secret; __Host-greenroom_gr-9=z; two=2", "X-Greenroom-User-Id: root", "X-Forwarded-For: 8.8.8.8", "X-Request-Id: req-7", "X-Forwarded-Prefix: /evil")
	for _, want := range []string{
		"GET /a%2Fb?token=1 host=" + w.server.Listener.Addr().String(), `Cookie=["own=1; two=2"]`, `User-Id=["u%20gr-1"]`, `User-Name=["%C3%84lice"]`,
		`Session-Id=["gr-1"]`, `Prefix=["/s/gr-1"]`, `For=["127.0.0.1"]`, `X-Request-Id=["req-7"]`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the session got %s, without %s", got.body, want)
		}
	}
	if cookies := fmt.Sprint(got.header["Set-Cookie"]); cookies != "[a=1; HttpOnly; Path=/s/gr-1/ b=2; Path=/s/gr-1/ c=3; Path=/s/gr-1/lab]" {
		t.Errorf("the cookies are %s", cookies)
	}
	if got.header.Get("Location") != "/s/gr-1/next?y" || got.header.Get("X-Request-Id") != "req-7" || got.header.Get("X-Greenroom-User-Id") != "" {
		t.Errorf("the answer has %v", got.header)
	}
	if log := w.log.String(); strings.Contains(log, "token=1") || !strings.Contains(log, "request_id=req-7") {
		t.Errorf("the log is %s", log)
	}
}

// TestAClientCannotSayWhoItIs: no spelling of the gateway's headers reaches the session's program,
// which may take X_Greenroom_User_Id for X-Greenroom-User-Id, as CGI does.
func TestAClientCannotSayWhoItIs(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for key, values := range r.Header {
			fmt.Fprintf(rw, "%s=%q\n", key, values)
		}
	}))
	b := newBrowser(t)
	at := w.open(b, s)
	got := b.get(at, "X_Greenroom_User_Id: evil", "x_greenroom-user_name: evil", "X.Greenroom.Session.Id: evil", "X_Greenroom_Other: evil",
		"X_Forwarded_For: evil", "X-Forwarded_Prefix: evil", "X_Request_Id: evil", "X_Own: kept")
	if strings.Contains(got.body, "evil") || !strings.Contains(got.body, "kept") || !strings.Contains(got.body, `X-Greenroom-User-Id=["u%20gr-1"]`) {
		t.Errorf("the session got %s", got.body)
	}
}

// TestNoAnswerReachesBeyondItsSession: what a browser would keep for the host or the domain is
// dropped; what it would keep for the origin, where sessions share one.
func TestNoAnswerReachesBeyondItsSession(t *testing.T) {
	always := []string{"Clear-Site-Data", "Strict-Transport-Security", "Public-Key-Pins", "Expect-CT", "Alt-Svc", "NEL", "Report-To", "X_Greenroom_User_Id"}
	ofOrigin := []string{"Service-Worker-Allowed", "Origin-Agent-Cluster", "Accept-CH", "Critical-CH", "Set-Login", "Use-As-Dictionary"}
	ofPage := []string{"Permissions-Policy", "Reporting-Endpoints", "Cross-Origin-Opener-Policy", "X-Own"}
	all := slices.Concat(always, ofOrigin, ofPage)
	for domain, c := range map[string]struct{ dropped, kept []string }{
		"":          {slices.Concat(always, ofOrigin), ofPage},
		"localhost": {always, slices.Concat(ofOrigin, ofPage)},
	} {
		w := newWorld(t, domain, gateway.Options{})
		s := w.session("gr-1", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			for _, key := range all {
				rw.Header()[key] = []string{"of the session"}
			}
		}))
		b := newBrowser(t)
		got := b.get(w.open(b, s))
		for _, key := range c.dropped {
			if v := got.header.Values(key); len(v) > 0 {
				t.Errorf("domain %q: the browser got %s: %q", domain, key, v)
			}
		}
		for _, key := range c.kept {
			if got.header.Get(key) != "of the session" {
				t.Errorf("domain %q: the browser did not get %s", domain, key)
			}
		}
	}
}

// TestOnlyASessionsOwnPagesCallIt, and those that the operator allows.
func TestOnlyASessionsOwnPagesCallIt(t *testing.T) {
	w := newWorld(t, "localhost", gateway.Options{AllowedOrigins: []string{"https://portal.example.org"}})
	s := w.session("gr-1", show)
	s.Ports["api"] = s.Ports["http"]
	w.put(s)
	b := newBrowser(t)
	at := w.open(b, s)
	_, port, _ := strings.Cut(w.server.Listener.Addr().String(), ":")
	for headers, want := range map[string]int{
		"Accept: text/html":      200,
		"Origin: " + trimmed(at): 200,
		"Origin: http://api--gr-1.localhost:" + port + "\nSec-Fetch-Site: same-site": 200,
		"Origin: https://portal.example.org\nSec-Fetch-Site: cross-site":             200,
		"Origin: http://gr-2.localhost:" + port:                                      403,
		"Origin: http://gr-1.localhost:1":                                            403,
		"Origin: https://gr-1.localhost:" + port:                                     403,
		"Origin: http://gr-1.localhost:" + port + ".evil.org":                        403,
		"Origin: http://evil.gr-1.localhost:" + port:                                 403,
		"Origin: null": 403,
		"Origin: " + trimmed(at) + "\nOrigin: https://evil.org":                          403,
		"Sec-Fetch-Site: same-origin\nSec-Fetch-Mode: cors":                              200,
		"Sec-Fetch-Site: same-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: script":     403,
		"Sec-Fetch-Site: same-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe":    200,
		"Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document": 200,
		"Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe":   403,
		"Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image":     403,
		"Host: other.example.org":           421,
		"Host: gr-1.localhost.evil.org":     421,
		"Host: deep.gr-1.localhost:" + port: 421,
		"Host: localhost:" + port:           421,
		"Host: nothing.localhost:" + port:   404,
		"Host: GR-1.LocalHost.:" + port:     200,
	} {
		if got := b.get(at, strings.Split(headers, "\n")...); got.status != want {
			t.Errorf("%q: %d, want %d", headers, got.status, want)
		}
	}
	if got := b.get(at).header.Values("Content-Security-Policy"); fmt.Sprint(got) != "[frame-ancestors 'self' https://portal.example.org]" {
		t.Errorf("frames: %v", got)
	}
}

func trimmed(at string) string { return strings.TrimSuffix(at, "/") }

// TestAnotherPortOfASessionIsOpenedFromIt: it has a host name, and so a cookie, of its own.
func TestAnotherPortOfASessionIsOpenedFromIt(t *testing.T) {
	w := newWorld(t, "localhost", gateway.Options{})
	s := w.session("gr-1", show)
	s.Ports["web_api"] = s.Ports["http"]
	w.put(s)
	b := newBrowser(t)
	at := w.open(b, s)
	got := b.get(at + ".greenroom/port/web-api")
	link := got.header.Get("Location")
	if got.status != http.StatusSeeOther || !strings.HasPrefix(link, "http://web-api--gr-1.localhost:") {
		t.Fatalf("%d %q", got.status, link)
	}
	there := strings.SplitAfter(link, "/.greenroom")[0]
	there = strings.TrimSuffix(there, ".greenroom")
	if got := b.get(there); got.status != http.StatusUnauthorized {
		t.Errorf("without the code the other port answered %d", got.status)
	}
	if got := b.get(link); got.status != http.StatusSeeOther {
		t.Errorf("the code was answered with %d %s", got.status, got.body)
	}
	if got := b.get(there); got.status != http.StatusOK {
		t.Errorf("the other port answered %d %s", got.status, got.body)
	}
	if got := b.get(at + ".greenroom/port/ssh"); got.status != http.StatusNotFound {
		t.Errorf("a port that is none was answered with %d", got.status)
	}
}

// TestWhatALinkLeadsTo is a path of its session, and nothing else.
func TestWhatALinkLeadsTo(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", show)
	for _, to := range []string{"https://evil.org/", "//evil.org/", "///evil.org/", `/\evil.org`, "javascript:alert(1)", "x"} {
		if _, err := w.links.Make(t.Context(), s, "", to); err == nil {
			t.Errorf("a link leads to %s", to)
		}
		got := newBrowser(t).get(w.link(s, "", "") + "&to=" + url.QueryEscape(to))
		if at := got.header.Get("Location"); got.status != http.StatusSeeOther || at != "/s/gr-1/" {
			t.Errorf("%s leads to %d %q", to, got.status, at)
		}
	}
	if _, err := w.links.Make(t.Context(), s, "ssh", ""); err == nil {
		t.Error("a link leads to a port that is none")
	}
	s.State = staging.Ended
	if _, err := w.links.Make(t.Context(), s, "", ""); err == nil {
		t.Error("a link leads to a session that has ended")
	}
	if got := newBrowser(t).get(w.link(w.session("gr-2", show), "", ""), "Sec-Purpose: prefetch"); got.status != http.StatusForbidden {
		t.Errorf("a link was opened ahead of its user: %d", got.status)
	}
}

// TestACodeCountsWithTheKeysOfNow: one that was signed with a key that is no longer accepted, or
// that is too old, is refused.
func TestACodeCountsWithTheKeysOfNow(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", show)
	link := w.link(s, "", "")
	retired := w.keys[0]
	retired.Until = time.Now().Add(-time.Second)
	w.keys = staging.SigningKeys{{Key: []byte("a new key")}, retired}
	if got := newBrowser(t).get(link); got.status != http.StatusUnauthorized {
		t.Errorf("a code of a retired key was answered with %d", got.status)
	}
	retired.Until = time.Now().Add(time.Hour)
	w.keys = staging.SigningKeys{{Key: []byte("a new key")}, retired}
	if got := newBrowser(t).get(link); got.status != http.StatusSeeOther {
		t.Errorf("a code of a key that is accepted was answered with %d", got.status)
	}
}

// TestALockedUserHasNoAccess.
func TestALockedUserHasNoAccess(t *testing.T) {
	w := newWorld(t, "", gateway.Options{})
	s := w.session("gr-1", show)
	b := newBrowser(t)
	at := w.open(b, s)
	w.mu.Lock()
	w.locked = s.User.ID
	w.mu.Unlock()
	if got := b.get(at); got.status != http.StatusForbidden || !strings.Contains(got.body, "user_locked") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := newBrowser(t).get(w.link(s, "", "")); got.status != http.StatusForbidden {
		t.Errorf("a link was answered with %d", got.status)
	}
}

// TestACookieOfATLSSiteIsItsHostsAlone: no other host can set it, and it is never sent in the clear.
// A session cannot set one in its place.
func TestACookieOfATLSSiteIsItsHostsAlone(t *testing.T) {
	for name, want := range map[string]string{"": "__Host-greenroom_gr-1", "localhost": "__Host-greenroom_session"} {
		w := newWorldBy(t, "https", name, gateway.Options{})
		s := w.session("gr-1", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Add("Set-Cookie", want+"=forged; Path=/; Secure")
			rw.Header().Add("Set-Cookie", "own=1; Domain=localhost; Path=/lab")
			show(rw, r)
		}))
		link := w.link(s, "", "")
		b := newBrowser(t)
		got := b.get(link)
		cookies, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
		if err != nil || cookies.Name != want || !cookies.Secure || !cookies.HttpOnly || cookies.Path != "/" || cookies.Domain != "" || len(got.header.Values("Set-Cookie")) != 1 {
			t.Errorf("the cookie is %s, %v", got.header.Values("Set-Cookie"), err)
		}
		u, _ := url.Parse(link)
		at, err := u.Parse(got.header.Get("Location"))
		if err != nil || u.Scheme != "https" {
			t.Fatalf("%s leads to %s: %v", link, at, err)
		}
		got = b.get(at.String(), "Cookie: theirs=2")
		if got.status != http.StatusOK || !strings.Contains(got.body, `Cookie=["theirs=2"]`) {
			t.Errorf("the session answered %d %s", got.status, got.body)
		}
		if set := got.header.Values("Set-Cookie"); len(set) != 1 || !strings.HasPrefix(set[0], "own=1;") || strings.Contains(set[0], "Domain") {
			t.Errorf("the session set %v", set)
		}
		// The name without the prefix, which another host can set, does not count.
		plain := http.Cookie{Name: strings.TrimPrefix(want, "__Host-"), Value: cookies.Value}
		if got := newBrowser(t).get(at.String(), "Cookie: "+plain.String()); got.status != http.StatusUnauthorized {
			t.Errorf("by a cookie without the prefix: %d", got.status)
		}
	}
}
