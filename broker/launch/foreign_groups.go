package launch

import (
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// maxForeignGroups and maxForeignName bound the memory and the log: an identity provider may
// have any number of groups, with names of any length.
const (
	maxForeignGroups = 1000
	maxForeignName   = 128
)

// foreignGroups are the groups of the identity provider that greenroom does not have, and that
// this broker has logged: each is logged once.
type foreignGroups struct {
	mu     sync.Mutex
	logged map[string]bool
}

// report logs those of an identity provider's groups that are not greenroom's, each for the
// first time that a launch comes with it.
func (f *foreignGroups) report(provided []string, res staging.Resources, log func() *logrus.Entry) {
	for _, name := range provided {
		if _, ok := res.Groups[name]; !ok && f.first(name) {
			log().WithField(logfield.Groups, clip(name)).
				Info("greenroom has no such group of the identity provider: it counts as none; this is logged once")
		}
	}
}

func (f *foreignGroups) first(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = clip(name)
	if f.logged[name] || len(f.logged) >= maxForeignGroups {
		return false
	}
	if f.logged == nil {
		f.logged = map[string]bool{}
	}
	f.logged[name] = true
	return true
}

func clip(name string) string { return name[:min(len(name), maxForeignName)] }
