package staging

import (
	"fmt"
	"regexp"
	"time"
)

// MaxKillTimeout is the longest kill_timeout that a Nomad client keeps to by default: it caps longer
// ones at its max_kill_timeout.
const MaxKillTimeout = Duration(30 * time.Second)

// killTimeout finds the kill_timeout of a task. One that a variable sets is not found.
var killTimeout = regexp.MustCompile(`(?m)^\s*kill_timeout\s*=\s*"([^"$]+)"`)

// Remarks says what works in the image and is seldom what is meant, for those who store it.
func (i Image) Remarks() []string {
	var all []string
	for _, found := range killTimeout.FindAllStringSubmatch(i.Jobspec, -1) {
		if d, err := ParseDuration(found[1]); err == nil && d > MaxKillTimeout {
			all = append(all, fmt.Sprintf("image %s: its jobspec has a kill_timeout of %s, and Nomad's clients cap it at their max_kill_timeout, %s by default: "+
				"raise that on the nodes that run it, or save in a pre_stop hook", i.Name, d.Brief(), MaxKillTimeout.Brief()))
		}
	}
	return all
}
