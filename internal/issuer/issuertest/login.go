package issuertest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Client is an application that browsers log in to with the provider.
type Client struct {
	// ID and Secret are the application's at the provider; it has no secret if Secret is "".
	ID, Secret string
	// Redirect is the only URL to which the provider leads browsers back.
	Redirect string
}

// issued is what a code was issued for.
type issued struct {
	client           Client
	challenge, nonce string
	claims           map[string]any
}

// login is the state of the provider's logins.
type login struct {
	key     Key
	client  Client
	users   map[string]map[string]any
	codes   map[string]issued
	changes func(claims map[string]any)
	// secrets are what no log and no page may have: codes, verifiers and ID tokens.
	secrets []string
}

// LogsIn makes the provider log users in to a client, with ID tokens that the key signs. A
// user's name is the key of users, and its claims are the value.
func (p *Provider) LogsIn(key Key, client Client, users map[string]map[string]any) {
	p.Publishes(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.login = &login{key: key, client: client, users: users, codes: map[string]issued{}}
}

// Changes makes the provider change the claims of ID tokens; nil ends it.
func (p *Provider) Changes(change func(claims map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.login.changes = change
}

// Secrets returns the codes, the verifiers and the ID tokens of all logins so far.
func (p *Provider) Secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.login.secrets...)
}

// SignIn signs a user in at a URL that begins a login, as a person does on the provider's page,
// and returns the URL to which the provider leads the browser. The user is "" for one who
// cancels.
func (p *Provider) SignIn(t *testing.T, at, user string) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(at, url.Values{"user": {user}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("the provider answered %s to %s: %v", res.Status, at, err)
	}
	return back
}

// signInPage is the provider's page, on which people sign in. Its form goes to the same URL.
var signInPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Sign in</title>
<h1>Sign in to {{.}}</h1><form method="post"><label for="user">User</label> <input id="user" name="user">
<button type="submit">Sign in</button></form></html>`))

// authorize is the provider's authorization endpoint. A request that is not from the client is
// answered here, and leads nowhere.
func (l *login) authorize(w http.ResponseWriter, r *http.Request, issuer string) {
	q := r.URL.Query()
	switch {
	case q.Get("client_id") != l.client.ID, q.Get("redirect_uri") != l.client.Redirect:
		http.Error(w, "unknown client or redirect_uri", http.StatusBadRequest)
		return
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = signInPage.Execute(w, q.Get("client_id"))
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {issuer}}
	claims, known := l.users[r.PostFormValue("user")]
	switch {
	case q.Get("response_type") != "code", q.Get("code_challenge_method") != "S256", len(q.Get("code_challenge")) != 43,
		!strings.Contains(" "+q.Get("scope")+" ", " openid "):
		back.Set("error", "invalid_request")
	case !known:
		back.Set("error", "access_denied")
	default:
		code := rand.Text()
		l.codes[code] = issued{l.client, q.Get("code_challenge"), q.Get("nonce"), claims}
		l.secrets = append(l.secrets, code)
		back.Set("code", code)
	}
	http.Redirect(w, r, l.client.Redirect+"?"+back.Encode(), http.StatusFound)
}

// token is the provider's token endpoint. A code counts once, also if the rest is wrong.
func (l *login) token(w http.ResponseWriter, r *http.Request, issuer string) {
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		// Providers repeat what they were sent.
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "refused " + r.PostFormValue("code")})
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id != l.client.ID || secret != l.client.Secret {
		refuse("invalid_client")
		return
	}
	code, verifier := r.PostFormValue("code"), r.PostFormValue("code_verifier")
	l.secrets = append(l.secrets, verifier)
	was, known := l.codes[code]
	delete(l.codes, code)
	hash := sha256.Sum256([]byte(verifier))
	if !known || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != l.client.Redirect ||
		base64.RawURLEncoding.EncodeToString(hash[:]) != was.challenge {
		refuse("invalid_grant")
		return
	}
	claims := map[string]any{
		"iss": issuer, "aud": was.client.ID, "exp": time.Now().Add(5 * time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": was.nonce,
	}
	maps.Copy(claims, was.claims)
	if l.changes != nil {
		l.changes(claims)
	}
	signed, err := l.key.sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	l.secrets = append(l.secrets, signed)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": signed})
}
