package staging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// connectTokens are the tokens of an image's connect_url, besides {port_LABEL}.
var connectTokens = []Token{TokenAddress, TokenSessionID, TokenAccess, TokenImage, TokenZone, TokenUsername, TokenUserID}

const portTokenPrefix = "port_"

func (p *problems) connectURL(value string) {
	if value == "" {
		return
	}
	const field = "connect_url"
	p.bounded(field, value, MaxURLLength)
	for _, t := range tokensIn(value) {
		if !strings.HasPrefix(t, portTokenPrefix) && !slices.Contains(connectTokens, Token(t)) {
			p.add(field, "holds the unknown token {%s}; known here are {%s}, {%sLABEL}", t, joinedBraces(connectTokens), portTokenPrefix)
		}
	}
	// With values in place of its tokens it must be a URL.
	plain := tokenPattern.ReplaceAllString(value, "1")
	if u, err := url.Parse(plain); err != nil || u.Scheme == "" || u.Host == "" {
		p.add(field, "must be an absolute URL such as http://{address}:{port_http}/?token={token}")
	} else if ownSchemes[u.Scheme] {
		p.add(field, "must not be a %s: URL, which a browser runs or reads from its own machine", u.Scheme)
	}
}

// ownSchemes are the schemes of URLs that a browser runs, or that name what is on the machine
// of whoever opens them. Their URLs come from a launch, and are opened by a user or a hook.
var ownSchemes = map[string]bool{
	"javascript": true, "vbscript": true, "data": true, "file": true, "blob": true, "filesystem": true, "about": true,
	"view-source": true, "chrome": true, "resource": true, "jar": true,
}

// ConnectTo returns the URL that opens an assigned session, with escaped values. It returns
// "" if the image has no connect_url or the session lacks a port that the URL names.
func (i Image) ConnectTo(s Session, token string) string {
	values := map[Token]string{
		TokenSessionID: s.ID, TokenAccess: url.QueryEscape(token), TokenImage: s.Image, TokenZone: s.Zone,
		TokenAddress: s.Address,
	}
	if strings.Contains(s.Address, ":") {
		values[TokenAddress] = "[" + s.Address + "]"
	}
	if s.User != nil {
		values[TokenUsername], values[TokenUserID] = url.PathEscape(s.User.Name), url.PathEscape(s.User.ID)
	}
	for label, port := range s.Ports {
		values[Token(portTokenPrefix+label)] = strconv.Itoa(port)
	}
	for _, t := range tokensIn(i.ConnectURL) {
		if values[Token(t)] == "" {
			return ""
		}
	}
	return Substitute(i.ConnectURL, values)
}

// AccessSecret names the keys, shared by all brokers, that access tokens are made with: a
// launch makes them, the authorize endpoint checks them.
const AccessSecret = "access"

// GatewaySecret names the keys, shared by brokers and gateways, with which links are signed, and
// the cookies of browsers that have opened one.
const GatewaySecret = "gateway"

// AccessToken returns the token that opens a session to the user of its claim. The token is
// a message authentication code (HMAC-SHA256, RFC 2104) over session and claim, so it
// need not be stored, and the same launch always has the same token.
func AccessToken(secret []byte, session, claim string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(session + "\x00" + claim))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ValidAccessToken reports whether token is the session's, made with one of the secrets. It
// compares in constant time.
func ValidAccessToken(secrets [][]byte, session, claim, token string) bool {
	return claim != "" && slices.ContainsFunc(secrets, func(secret []byte) bool {
		return hmac.Equal([]byte(AccessToken(secret, session, claim)), []byte(token))
	})
}

// AllowsOrigin reports whether a page of this origin (a request's Origin header) may open
// the zone's sessions: its host must be the zone's domain or a subdomain of it.
// requestHost is the value for RequestHost.
func (z Zone) AllowsOrigin(origin, requestHost string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	domain := strings.ReplaceAll(z.WithDefaults().AllowOriginDomain, RequestHost, requestHost)
	// A scheme or a port in the domain is ignored.
	if _, rest, ok := strings.Cut(domain, "://"); ok {
		domain = rest
	}
	if host, _, err := net.SplitHostPort(domain); err == nil {
		domain = host
	}
	domain = strings.ToLower(strings.Trim(strings.TrimPrefix(domain, "*."), "./[]"))
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
