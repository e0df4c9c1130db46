package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"
)

// Proxies are the addresses of trusted proxies: those whose X-Forwarded-For names the client
// that they serve. The zero value trusts none.
type Proxies []netip.Prefix

// trusts reports whether an address is a trusted proxy's.
func (p Proxies) trusts(address netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// headerForwardedFor has the addresses that a request passed through. Each proxy adds the one
// that it was called from at the end, so that only what trusted proxies added can be believed.
const headerForwardedFor = "X-Forwarded-For"

// maxForwarded bounds the addresses of a request that are looked at.
const maxForwarded = 32

// client returns the address of a request's client. That is the peer of its connection, or, if
// the peer is a trusted proxy, the last address of X-Forwarded-For that is none: it was added
// by a trusted proxy. What is left of it may be anybody's invention. A proxy may add a line of
// its own instead of extending the line that it received, so all lines count. (gin reads the
// first line alone, in which a client would name itself.)
func (p Proxies) client(r *http.Request) netip.Addr {
	at, ok := addressIn(r.RemoteAddr)
	if !ok || !p.trusts(at) {
		return at
	}
	rest, more := strings.Join(r.Header.Values(headerForwardedFor), ","), true
	for range maxForwarded {
		var last string
		if rest, last, more = cutLast(rest); last == "" && !more {
			return at
		}
		next, ok := addressIn(strings.TrimSpace(last))
		if !ok {
			// What a trusted proxy could not name remains the proxy's.
			return at
		}
		if at = next; !p.trusts(at) || !more {
			return at
		}
	}
	return at
}

// Remote returns the address of a request's client, as client does, for a log; "" if it is not
// known.
func (p Proxies) Remote(r *http.Request) string {
	if a := p.client(r); a.IsValid() {
		return a.String()
	}
	return ""
}

// cutLast cuts a list at its last comma. more is false if there was none.
func cutLast(list string) (rest, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// addressIn returns the address in a text with or without a port. An IPv4 address that is
// written as IPv6 is the IPv4 address.
func addressIn(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = with.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// keyRemote is the key of a request's context that has its client's address.
const keyRemote = "remote"

// locate sets the address of the request's client.
func (e *edge) locate(c *gin.Context) {
	if a := e.proxies.client(c.Request); a.IsValid() {
		c.Set(keyRemote, a)
	}
}

// remoteOf returns the address of a request's client for the log and the audit; "" if it is
// not known.
func remoteOf(c *gin.Context) string {
	if a, ok := c.Value(keyRemote).(netip.Addr); ok {
		return a.String()
	}
	return ""
}

// strangerOf returns what limits of an address count a request's client by. Whoever has an
// IPv6 address usually has 2^64 of them, so these count as one.
func strangerOf(c *gin.Context) string {
	const network = 64
	a, ok := c.Value(keyRemote).(netip.Addr)
	if !ok {
		return ""
	}
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(network)
	if err != nil {
		return a.String()
	}
	return p.String()
}
