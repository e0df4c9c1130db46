package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"
)

// Launch is a request for sessions for a user.
type Launch struct {
	// Image is the one to launch, or Selector chooses by labels among the images and staging
	// configs; see Selector.
	Image    string `json:"image,omitempty"`
	Selector string `json:"selector,omitempty"`
	Zone     string `json:"zone"`
	User     User   `json:"user"`
	// Groups are the names of the user's groups.
	Groups []string `json:"groups,omitempty"`
	// UserEnvironment is the user's own environment. Sessions see it if a group of the user
	// has expose_user_environment_vars.
	UserEnvironment map[string]string `json:"user_environment,omitempty"`
	// SSHKeys are the user's public keys, as lines of an authorized_keys file. Sessions see
	// them if a group of the user has inject_ssh_keys.
	SSHKeys []string `json:"ssh_keys,omitempty"`
	// URL is passed to the hook, for example to open in a browser; "" for none.
	URL string `json:"url,omitempty"`
	// Environment is passed to the hook and to an on-demand session's tasks.
	Environment map[string]string `json:"environment,omitempty"`
	// Count is how many sessions the user gets, all of them or none; 0 means 1.
	Count int `json:"count,omitempty"`
	// Together: all sessions of a launch of several must be in one zone.
	Together bool `json:"together,omitempty"`
	// SkipStaged: the session is made on demand, also where staged ones are ready.
	SkipStaged bool `json:"skip_staged,omitempty"`
	// WaitForRoom is how long a session made on demand may wait for room, queued in Nomad; nil
	// for what the image or the user's groups say.
	WaitForRoom *Duration `json:"wait_for_room,omitempty"`
	// RequestID is the id of the request; "" for none. A repeat of the same launch has
	// another one.
	RequestID string `json:"-"`
}

// Several reports whether the launch is for more than one session.
func (l Launch) Several() bool { return l.Count > 1 }

// Bounds of a launch, so that all of it fits in one environment block (Linux limits one
// string to 128 KiB) and in one Consul record.
const (
	MaxUserIDLength      = 256
	MaxUserNameLength    = 1024
	MaxURLLength         = 8192
	MaxEnvironmentBytes  = 32 << 10
	MaxIdempotencyLength = 255
	MaxGroups            = 64
	MaxSSHKeys           = 32
	MaxSSHKeyLength      = 8192
	// MaxCount is the most sessions of one launch. Their fates and the key's record are
	// written in one transaction, which Consul limits to 64 operations.
	MaxCount = 32
)

// Validate returns an *InvalidError, or nil. CheckEnvironment checks the rest, once the user's
// groups are known. A user's name may have any characters but NUL:
// it is always passed as data, never as shell code.
func (l Launch) Validate() error {
	var p problems
	p.chosen(l)
	p.name("zone", l.Zone)
	if l.User.ID == "" {
		p.add("user.id", "must not be empty")
	}
	p.bounded("user.id", l.User.ID, MaxUserIDLength)
	p.bounded("user.name", l.User.Name, MaxUserNameLength)
	p.bounded("url", l.URL, MaxURLLength)
	if l.URL != "" {
		if u, err := url.Parse(l.URL); err != nil || u.Scheme == "" {
			p.add("url", "must be an absolute URL such as https://example.org/")
		} else if ownSchemes[u.Scheme] {
			p.add("url", "must not be a %s: URL, which a browser runs or reads from its own machine", u.Scheme)
		}
	}
	p.launchEnvironment("environment", l.Environment)
	p.launchEnvironment("user_environment", l.UserEnvironment)
	if len(l.Groups) > MaxGroups {
		p.add("groups", "must be at most %d, are %d", MaxGroups, len(l.Groups))
	}
	for i, g := range l.Groups {
		p.name(fmt.Sprintf("groups[%d]", i), g)
	}
	if l.Count < 0 || l.Count > MaxCount {
		p.add("count", "must be between 1 and %d, is %d", MaxCount, l.Count)
	}
	if l.Together && !l.Several() {
		p.add("together", "is for launches of several sessions: send a count of 2 or more with it, or leave it out")
	}
	p.roomWait(l.WaitForRoom)
	if len(l.SSHKeys) > MaxSSHKeys {
		p.add("ssh_keys", "must be at most %d, are %d", MaxSSHKeys, len(l.SSHKeys))
	}
	for i, k := range l.SSHKeys {
		at := fmt.Sprintf("ssh_keys[%d]", i)
		p.bounded(at, k, MaxSSHKeyLength)
		if !sshKey.MatchString(k) {
			p.add(at, "must be one public key as in an authorized_keys file, without options: type, key and comment")
		}
	}
	return p.err("launch")
}

// chosen checks what says which image is launched.
func (p *problems) chosen(l Launch) {
	switch {
	case l.Selector == "":
		p.name("image", l.Image)
	case l.Image != "":
		p.add("selector", "chooses an image, so leave out image, or selector")
	default:
		if _, err := ParseSelector(l.Selector); err != nil {
			p.add("selector", "%s", err)
		}
	}
	if l.SkipStaged && l.Several() {
		p.add("skip_staged", "is for a launch of one: several sessions are given from what is staged alone")
	}
}

func (p *problems) launchEnvironment(field string, env map[string]string) {
	p.environment(field, env)
	size := 0
	for k, v := range env {
		size += len(k) + len(v)
	}
	if size > MaxEnvironmentBytes {
		p.add(field, "must be at most %d bytes in all, is %d", MaxEnvironmentBytes, size)
	}
}

// CheckEnvironment returns an *InvalidError if the launch sets a variable on which programs act
// and that no group of its user allows; s are the settings of the groups.
func (l Launch) CheckEnvironment(s Settings) error {
	var p problems
	p.interpreted("environment", l.Environment, s)
	p.interpreted("user_environment", l.UserEnvironment, s)
	return p.err("launch")
}

func (p *problems) interpreted(field string, env map[string]string, s Settings) {
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if Interpreted(k) && !allows(s.AllowedEnvironment, k) {
			p.add(field+"."+k, "is a variable on which loaders, shells or interpreters act, so a launch may not set it; "+
				"the image's hook or jobspec may, or a group of the user lists it in allowed_environment")
		}
	}
}

func (p *problems) bounded(field, value string, limit int) {
	if len(value) > limit {
		p.add(field, "must be at most %d bytes, is %d", limit, len(value))
	}
	if !utf8.ValidString(value) {
		p.add(field, "must be UTF-8")
	}
	p.text(field, value)
}

// RequestIDVariable is the variable with the launch's request id, so that the log of a hook
// can be found by it.
const RequestIDVariable = "GREENROOM_REQUEST_ID"

// Variables returns the variables of every hook, and of every task of an on-demand session:
// the caller's and greenroom's own, which win.
func (l Launch) Variables(session string) map[string]string {
	env := make(map[string]string, len(l.Environment)+6)
	for k, v := range l.Environment {
		env[k] = v
	}
	env["GREENROOM_SESSION_ID"] = session
	env["GREENROOM_IMAGE"] = l.Image
	env["GREENROOM_ZONE"] = l.Zone
	env["GREENROOM_USER_ID"] = l.User.ID
	env["GREENROOM_USER_NAME"] = l.User.Name
	env["GREENROOM_URL"] = l.URL
	if l.RequestID != "" {
		env[RequestIDVariable] = l.RequestID
	}
	return env
}

// Step is a way to serve a launch.
type Step string

// The steps, named after the origin of the session that they serve.
const (
	StepStaged   Step = Step(Staged)
	StepOnDemand Step = Step(OnDemand)
	// StepExisting serves the session of the image that the user already has.
	StepExisting Step = "existing"
)

// Outcome is the outcome of a step.
type Outcome string

// The outcomes of an attempt.
const (
	// OutcomeServed: this step served the session.
	OutcomeServed Outcome = "served"
	// OutcomeStarting: an on-demand session was created and is not up yet.
	OutcomeStarting Outcome = "starting"
	// OutcomeWaiting: no node could take an on-demand session, and it waits for room.
	OutcomeWaiting Outcome = "waiting"
	// OutcomeSkipped: the step was not tried; the reason says why.
	OutcomeSkipped Outcome = "skipped"
	// OutcomeEmpty: no session of the pool was ready.
	OutcomeEmpty Outcome = "empty"
	// OutcomeLost: the claimed session already had a fate record.
	OutcomeLost Outcome = "lost"
	// OutcomeFailed: the step failed; the reason says why.
	OutcomeFailed Outcome = "failed"
)

// Outcomes lists all outcomes.
var Outcomes = []Outcome{OutcomeServed, OutcomeStarting, OutcomeWaiting, OutcomeSkipped, OutcomeEmpty, OutcomeLost, OutcomeFailed}

// Attempt is a step that was tried or skipped, with the reason why it did not serve.
type Attempt struct {
	Step    Step    `json:"step"`
	Zone    string  `json:"zone"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
}

// Timings are the parts of a launch's duration.
type Timings struct {
	// Claim is the round trip to Redis, Fence the writes of the fate record, Hook the
	// assign hook.
	Claim, Fence, Hook, Total time.Duration
}

// CheckIdempotencyKey returns an *InvalidError if the key is too long or not printable
// ASCII. "" is valid and means that the launch has no key.
func CheckIdempotencyKey(key string) error {
	var p problems
	if len(key) > MaxIdempotencyLength {
		p.add("Idempotency-Key", "must be at most %d characters, is %d", MaxIdempotencyLength, len(key))
	}
	for _, r := range key {
		if r < 0x20 || r > 0x7e {
			p.add("Idempotency-Key", "must be printable ASCII")
			break
		}
	}
	return p.err("launch")
}

// Fingerprint distinguishes launches that have the same Idempotency-Key. The same key with
// another fingerprint is a mistake of the caller.
func (l Launch) Fingerprint() string {
	if !l.Several() {
		l.Count = 0 // a count of 1 is the same launch as no count
	}
	b, err := json.Marshal(l)
	if err != nil {
		panic("staging: a launch always marshals: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
