package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

// site is where browsers find the broker. Requests behind a proxy do not show it: the proxy
// may end TLS, and call the broker by another name and path.
type site struct {
	// external is nil if browsers reach the broker by the address that it listens on.
	external *url.URL
	// sameOrigin finds requests that another site made a browser send.
	sameOrigin *http.CrossOriginProtection
}

func newSite(external *url.URL) site {
	s := site{external: external, sameOrigin: http.NewCrossOriginProtection()}
	if external != nil {
		// A proxy may pass on another Host than the one that a browser's Origin names.
		if err := s.sameOrigin.AddTrustedOrigin(external.Scheme + "://" + strings.ToLower(external.Host)); err != nil {
			panic("httpapi: the external URL is not one: " + err.Error())
		}
	}
	return s
}

// secure reports whether the browser that sent a request speaks TLS. If the scheme of the
// external URL is https it does: no header can change that.
func (s site) secure(r *http.Request) bool {
	if s.external != nil && s.external.Scheme == "https" {
		return true
	}
	return r.TLS != nil
}
