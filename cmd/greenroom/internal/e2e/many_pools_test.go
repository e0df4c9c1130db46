package e2e

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestManyPoolsNeedFewConnectionsToConsul: Consul refuses the two hundred and first connection
// from one address. With more pools than that, a scaler still sees the health of each.
func TestManyPoolsNeedFewConnectionsToConsul(t *testing.T) {
	const pools, limit = 250, 200
	d := sharedDev(t)
	image := quickImage("many")
	last := d.stage(t, image, 0)
	// The tests before this one have connections, too, which stay open for a while.
	before := connections(t, d.Consul)
	for i := range pools {
		c := staging.Config{Name: fmt.Sprintf("many-%d", i), Zone: "east", Image: "many"}
		d.ask(t, "PUT", "/v1/staging/"+c.Name, c, 201, nil)
	}
	t.Cleanup(func() {
		for i := range pools {
			d.ask(t, "DELETE", fmt.Sprintf("/v1/staging/many-%d", i), nil, 204, nil)
		}
	})
	last.DesiredSessions = 1
	d.ask(t, "PUT", "/v1/staging/many", last, 200, nil)
	one := staging.Config{Name: "many-249", Zone: "east", Image: "many", DesiredSessions: 1}
	d.ask(t, "PUT", "/v1/staging/"+one.Name, one, 200, nil)
	d.untilReady(t, "many", 1)
	d.untilReady(t, one.Name, 1)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("many", "east", "manu"), 201, &l)
	// Also the pool whose watch waits for its turn notices that a check fails.
	d.signal(t, l.ID, "SIGSTOP")
	until(t, "a failing check is noticed", func() (bool, string) {
		s := d.session(t, l.ID)
		return s.Healthy != nil && !*s.Healthy, fmt.Sprintf("%+v", s)
	})
	if n := connections(t, d.Consul) - before; n >= limit {
		t.Errorf("%d pools need %d connections to Consul, which takes %d", pools, n, limit)
	}
}

// connections counts the established connections to an address on loopback, by the kernel's
// table.
func connections(t *testing.T, addr string) (n int) {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(addr, "http://"))
	must(t, err)
	number, err := strconv.Atoi(port)
	must(t, err)
	table, err := os.ReadFile("/proc/net/tcp")
	must(t, err)
	const remote, state, established = 2, 3, "01"
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > state && f[state] == established && strings.HasSuffix(f[remote], fmt.Sprintf(":%04X", number)) {
			n++
		}
	}
	if n == 0 {
		t.Errorf("the kernel shows no connection to %s, though a scaler has some", addr)
	}
	return n
}
