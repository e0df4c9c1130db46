package kasmapi

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// requested is the answer to request_kasm.
type requested struct {
	KasmID       string  `json:"kasm_id"`
	Status       string  `json:"status"`
	UserID       string  `json:"user_id"`
	Username     string  `json:"username"`
	SessionToken string  `json:"session_token"`
	KasmURL      *string `json:"kasm_url"`
	ShareID      *string `json:"share_id"`
}

// requestKasm launches a session. It does not wait for one that is made on demand.
func requestKasm(c *call, f *fields) (any, error) {
	user, hasUser := f.id("user_id")
	image := f.needed("image_id")
	zone, hasZone := f.id("zone_id")
	environment := f.texts("environment")
	l := staging.Launch{URL: f.text("kasm_url")}
	for name, value := range map[string]string{"LANG": locale(f.text("client_language")), "TZ": automatic(f.text("client_timezone"))} {
		if _, set := environment[name]; value != "" && !set {
			environment[name] = value
		}
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	l.Environment = environment
	var err error
	if l.User.ID, err = c.launchedFor(user, hasUser); err != nil {
		return nil, err
	}
	l.User.Name = l.User.ID
	if l.Image, err = c.named(imageKind, image, "image_id", "/v1/images"); err != nil {
		return nil, err
	}
	if hasZone {
		l.Zone, err = c.named(zoneKind, zone, "zone_id", "/v1/zones")
	} else {
		l.Zone, err = c.zoneFor(l.Image)
	}
	if err != nil {
		return nil, err
	}
	var answer httpapi.Launched
	if err := c.do(http.MethodPost, "/v1/sessions?wait=0s", l, &answer); err != nil {
		return nil, err
	}
	k, ok := kasmOf(answer.Session)
	if !ok {
		return nil, refuse(http.StatusConflict, "the session %s ended as it was launched: %s", answer.ID, answer.Reason)
	}
	return requested{
		KasmID: k.KasmID, Status: k.OperationalStatus, UserID: k.UserID, Username: k.User.Username,
		SessionToken: answer.Token, KasmURL: given(answer.ConnectURL),
	}, nil
}

// anonymous begins the ids of users whom a request did not name.
const anonymous = "anon-"

// launchedFor returns the user of a launch; a new one if the request names none.
func (c *call) launchedFor(id uuid, named bool) (string, error) {
	if !named {
		return anonymous + strings.ToLower(rand.Text()[:maxHeld-len(anonymous)]), nil
	}
	return c.userNamed(id, "user_id")
}

// zoneFor returns the zone of a launch, which a request of this API does not name: that of the
// image's fullest pool, else the first by name in which the image may run.
func (c *call) zoneFor(image string) (string, error) {
	pools, err := all[httpapi.StagingPool](c, "/v1/staging", "")
	if err != nil {
		return "", err
	}
	best, ready := "", -1
	for _, p := range pools {
		if p.Image == image && p.ReadySessions > ready {
			best, ready = p.Zone, p.ReadySessions
		}
	}
	if best != "" {
		return best, nil
	}
	var of httpapi.Image
	if err := c.do(http.MethodGet, "/v1/images/"+url.PathEscape(image), nil, &of); err != nil {
		return "", err
	}
	zones, err := all[httpapi.Zone](c, "/v1/zones", "")
	if err != nil {
		return "", err
	}
	for _, z := range zones {
		if of.AllowedIn(z.Name) {
			return z.Name, nil
		}
	}
	return "", refuse(http.StatusConflict, "image %s may run in no zone that this token reaches", image)
}

// automatic returns a setting that clients leave to the server by this word as "".
func automatic(text string) string {
	if strings.EqualFold(text, "auto") {
		return ""
	}
	return text
}

var language = regexp.MustCompile(`^([a-z]{2,3})[-_]([A-Z]{2})$`)

// locale returns a language such as en-US as programs know it, which is en_US.UTF-8.
func locale(text string) string {
	if m := language.FindStringSubmatch(text); m != nil {
		return m[1] + "_" + m[2] + ".UTF-8"
	}
	return automatic(text)
}

// target is the session that a request names, and the user whose it must be if hasUser.
type target struct {
	kasm, user uuid
	hasUser    bool
}

// targetIn reads the fields that name a session.
func targetIn(f *fields) target {
	t := target{kasm: f.needed("kasm_id")}
	t.user, t.hasUser = f.id("user_id")
	return t
}

// session reads the session that a request names. One that is another user's than the request says,
// or nobody's, does not exist for it.
func (c *call) session(t target) (s httpapi.Session, k kasm, err error) {
	if err := c.do(http.MethodGet, "/v1/sessions/"+t.kasm.session(), nil, &s); err != nil {
		if isRefused(err, http.StatusNotFound) {
			err = noKasm(t)
		}
		return s, k, err
	}
	if s.User == nil || t.hasUser && userID(s.User.ID) != t.user {
		return s, k, noKasm(t)
	}
	k, ok := kasmOf(s)
	if !ok {
		return s, k, refuse(http.StatusNotFound, "kasm_id %s is over: its session %s is %s: %s", t.kasm, s.ID, s.State, s.Reason)
	}
	return s, k, nil
}

func noKasm(t target) error {
	return refuse(http.StatusNotFound, "there is no kasm_id %s of this user, or it ended a while ago", t.kasm)
}

// starting is the answer to get_kasm_status while the session is not up.
type starting struct {
	CurrentTime         any     `json:"current_time"`
	OperationalStatus   string  `json:"operational_status"`
	OperationalProgress int     `json:"operational_progress"`
	OperationalMessage  string  `json:"operational_message"`
	ErrorMessage        *string `json:"error_message"`
}

// running is the answer when it is.
type running struct {
	CurrentTime         any     `json:"current_time"`
	OperationalStatus   string  `json:"operational_status"`
	OperationalProgress int     `json:"operational_progress"`
	OperationalMessage  string  `json:"operational_message"`
	KasmURL             *string `json:"kasm_url"`
	Kasm                kasm    `json:"kasm"`
}

// getKasmStatus answers how far a session is, and with a fresh link once it is up.
func getKasmStatus(c *call, f *fields) (any, error) {
	t := targetIn(f)
	// Whether the session answers is always known: from its checks in Consul.
	f.flag("skip_agent_check")
	if err := f.end(); err != nil {
		return nil, err
	}
	s, k, err := c.session(t)
	if err != nil {
		return nil, err
	}
	if k.OperationalStatus != statusRunning {
		return starting{at(time.Now()), k.OperationalStatus, k.OperationalProgress, k.OperationalMessage, nil}, nil
	}
	link, err := c.link(s)
	if err != nil {
		return nil, err
	}
	return running{at(time.Now()), k.OperationalStatus, k.OperationalProgress, k.OperationalMessage, link, k}, nil
}

// link returns where to send a session's user: a fresh link through the gateway, else the image's own
// address, if that needs no token. It is nil if there is neither, and for callers that may only look.
func (c *call) link(s httpapi.Session) (*string, error) {
	var self httpapi.Self
	if err := c.do(http.MethodGet, "/v1/self", nil, &self); err != nil || self.Role == access.Viewer {
		return nil, err
	}
	if s.Link != "" && !strings.Contains(s.Link, "{"+string(staging.TokenAccess)+"}") {
		return &s.Link, nil
	}
	var link httpapi.Link
	err := c.do(http.MethodPost, "/v1/sessions/"+s.ID+"/link", nil, &link)
	if isRefused(err, http.StatusConflict) {
		return nil, nil // there is no gateway, or the session has just ended
	}
	return given(link.URL), err
}

// destroyKasm ends a session.
func destroyKasm(c *call, f *fields) (any, error) {
	t := targetIn(f)
	if err := f.end(); err != nil {
		return nil, err
	}
	s, _, err := c.session(t)
	if err != nil {
		return nil, err
	}
	return struct{}{}, c.do(http.MethodDelete, "/v1/sessions/"+s.ID, nil, nil)
}

// kasmList is the answer to get_kasms.
type kasmList struct {
	CurrentTime any    `json:"current_time"`
	Kasms       []kasm `json:"kasms"`
}

// getKasms lists the sessions that have users.
func getKasms(c *call, f *fields) (any, error) {
	if err := f.end(); err != nil {
		return nil, err
	}
	kasms, err := c.kasms("")
	return kasmList{at(time.Now()), kasms}, err
}

// kasms returns the sessions of a user, or of all with "".
func (c *call) kasms(user string) ([]kasm, error) {
	query := "&state=" + strings.ReplaceAll(staging.Joined([]staging.State{staging.Pending, staging.Starting, staging.Claimed, staging.Assigned}), " ", "")
	if user != "" {
		query += "&user=" + url.QueryEscape(user)
	}
	sessions, err := all[httpapi.Session](c, "/v1/sessions", query)
	kasms := []kasm{}
	for _, s := range sessions {
		if k, ok := kasmOf(s); ok {
			kasms = append(kasms, k)
		}
	}
	return kasms, err
}

// usage is the answer to keepalive.
type usage struct {
	// UsageReached is never true: greenroom counts no usage, and ends a session by its terms.
	UsageReached bool `json:"usage_reached"`
}

// keepalive records that a session's user is still there.
func keepalive(c *call, f *fields) (any, error) {
	t := targetIn(f)
	if err := f.end(); err != nil {
		return nil, err
	}
	s, _, err := c.session(t)
	if err != nil {
		return nil, err
	}
	return usage{}, c.do(http.MethodPost, "/v1/sessions/"+s.ID+"/keepalive", nil, nil)
}
