package gateway

import (
	"net/http"
	"slices"
)

// allowed reports whether a request may come from where it says that it comes from, by headers
// that browsers set and pages cannot change. Requests of other programs have none of them.
//
// A page's request that has an Origin, such as a WebSocket's, must be from a page of the session
// itself, or of an origin that the operator allows. Any page may link to a session, but only
// pages on the same site may show it in a frame, and none but its own may load parts of it: other
// sessions are on the same site, and a browser would send them the session's cookie.
func (g *Gateway) allowed(t target, r *http.Request) bool {
	switch origins := r.Header.Values("Origin"); len(origins) {
	case 0:
	case 1:
		return g.site.ownOrigin(t, origins[0]) || slices.Contains(g.o.AllowedOrigins, origins[0])
	default: // several origins are none that is allowed
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	case "same-site":
		return navigates(r)
	}
	return navigates(r) && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// navigates reports whether a request opens a page.
func navigates(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}
