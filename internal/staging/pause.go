package staging

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// PauseTarget is what a pause is of: one pool, the pools of one zone, or with neither all pools.
type PauseTarget struct {
	Zone    string `json:"zone,omitempty"`
	Staging string `json:"staging,omitempty"`
}

// String names the target in a sentence.
func (t PauseTarget) String() string {
	switch {
	case t.Staging != "":
		return "staging config " + t.Staging
	case t.Zone != "":
		return "zone " + t.Zone
	}
	return "all pools"
}

// ResumeCommand is the command that ends a pause of it. Where a zone and a staging config have one
// name it asks which is meant.
func (t PauseTarget) ResumeCommand() string {
	if name := cmp.Or(t.Staging, t.Zone); name != "" {
		return "greenroom resume " + name
	}
	return "greenroom resume"
}

// Covers reports whether a pool is among what is paused.
func (t PauseTarget) Covers(c Config) bool {
	return t.Staging == c.Name || t.Staging == "" && (t.Zone == "" || t.Zone == c.Zone)
}

// Validate returns an *InvalidError, or nil. It does not check that the target exists.
func (t PauseTarget) Validate() error {
	var p problems
	t.check(&p)
	return p.err("pause")
}

func (t PauseTarget) check(p *problems) {
	if t.Zone != "" && t.Staging != "" {
		p.add("zone", "must be left out where staging is given: a pause is of one pool, of one zone, or of all")
	}
}

// Pause is an administrator's order that no scaler makes or retires sessions of some pools.
// Launches go on. It holds until somebody resumes the target.
type Pause struct {
	PauseTarget
	// Reason says why, for other administrators; "" for none given.
	Reason string `json:"reason,omitempty"`
	// PausedBy is the caller, as Audit.Who has it.
	PausedBy string    `json:"paused_by"`
	PausedAt time.Time `json:"paused_at"`
}

// MaxReason bounds the reason of a pause, in characters.
const MaxReason = 500

// Validate returns an *InvalidError, or nil.
func (p Pause) Validate() error {
	var wrong problems
	p.check(&wrong)
	if n := len([]rune(p.Reason)); n > MaxReason {
		wrong.add("reason", "must be at most %d characters, is %d", MaxReason, n)
	}
	if strings.ContainsFunc(p.Reason, unicode.IsControl) {
		wrong.add("reason", "must be one line without control characters")
	}
	return wrong.err("pause")
}

// String says who paused what, and why.
func (p Pause) String() string {
	text := fmt.Sprintf("%s paused by %s", p.PauseTarget, cmp.Or(p.PausedBy, "somebody"))
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// Condition returns the condition of a pool that the pause covers.
func (p Pause) Condition() Condition {
	return Condition{
		Type: Paused, Since: p.PausedAt,
		Message: p.String() + "; nothing is made or retired, and launches go on, until " + p.ResumeCommand(),
	}
}

// PauseOf returns the pause that covers a pool: that of all pools first, then that of its zone,
// then its own.
func (r Resources) PauseOf(c Config) (p Pause, paused bool) {
	for _, t := range []PauseTarget{{}, {Zone: c.Zone}, {Staging: c.Name}} {
		if p, paused = r.Pauses[t]; paused {
			return p, true
		}
	}
	return Pause{}, false
}
