package agent

import (
	"errors"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/sirupsen/logrus"
)

// memoryShare is the part of the cgroup's memory that Go's heap may use before it is collected
// more often. The rest is for stacks, buffers of the kernel, and the program itself.
const memoryShare = 0.9

// limitMemory makes Go collect garbage before the process reaches the memory limit of its
// cgroup, as Nomad and Docker set it, and the kernel ends it. GOMEMLIMIT, if it is set, counts.
func limitMemory(log *logrus.Entry) {
	_, err := memlimit.Set(memlimit.WithRatio(memoryShare))
	if err != nil && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		log.WithError(err).Warn("cannot read the memory limit of this process's cgroup; set GOMEMLIMIT")
	}
}
