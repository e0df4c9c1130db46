package benchreport

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is what the machine did while a row was measured. A figure of a busy machine, or of a
// virtual one whose host is busy, says little; its ratio to a limit of the same run still does.
type Machine struct {
	// Processors are those that this process may use.
	Processors int `json:"processors"`
	// Load is the load average of the last minute, at the end.
	Load float64 `json:"load"`
	// Idle and Steal are shares of the processors' time: that in which they did nothing, and
	// that which the host gave to others.
	Idle  float64 `json:"idle"`
	Steal float64 `json:"steal"`
	// Seconds is for how long the row was measured.
	Seconds float64 `json:"seconds"`
	// HaltPollNS is how long the kernel of a virtual machine polls before it halts an idle
	// processor, in nanoseconds; -1 where it does not say.
	HaltPollNS int64 `json:"halt_poll_ns"`
}

// Watch is a moment from which the machine is watched.
type Watch struct {
	began time.Time
	times processorTimes
}

// StartWatch begins to watch the machine.
func StartWatch() Watch { return Watch{time.Now(), readProcessorTimes()} }

// Machine returns what the machine did since the watch began. What the kernel does not tell, as
// on another system than Linux, is zero.
func (w Watch) Machine() Machine {
	now := readProcessorTimes()
	m := Machine{
		Processors: runtime.NumCPU(), Load: readLoad(), Seconds: time.Since(w.began).Seconds(),
		HaltPollNS: readNumber("/sys/module/haltpoll/parameters/guest_halt_poll_ns"),
	}
	if all := now.all - w.times.all; all > 0 {
		m.Idle, m.Steal = (now.idle-w.times.idle)/all, (now.steal-w.times.steal)/all
	}
	return m
}

// haltsAtOnce explains a HaltPollNS of 0.
const haltsAtOnce = "guest_halt_poll_ns 0 (the kernel's default is 200000): this virtual machine halts idle processors at once, and to wake one " +
	"costs a good part of a millisecond. A launch on idle servers needs some fifteen wake-ups"

// String describes the machine in a line.
func (m Machine) String() string {
	text := fmt.Sprintf("%d processors, %.0f%% idle, %.1f%% stolen, load %.1f, in %.0f s", m.Processors, 100*m.Idle, 100*m.Steal, m.Load, m.Seconds)
	if m.HaltPollNS >= 0 {
		text += fmt.Sprintf(", guest_halt_poll_ns %d", m.HaltPollNS)
	}
	return text
}

// processorTimes are the sums of all processors since the start of the system, in ticks.
type processorTimes struct{ all, idle, steal float64 }

// readProcessorTimes reads the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq, steal; what follows is contained in user and nice.
func readProcessorTimes() (p processorTimes) {
	const idle, steal, fields = 3, 7, 8
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(strings.TrimPrefix(line, "cpu")) {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil || i == fields {
			break
		}
		p.all += ticks
		switch i {
		case idle:
			p.idle = ticks
		case steal:
			p.steal = ticks
		}
	}
	return p
}

func readLoad() (load float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	return load
}

// readNumber returns the number in a file; -1 where there is none.
func readNumber(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
