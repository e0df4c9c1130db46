package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// waiting returns the armed shells in a session: processes that are a bare /bin/sh in the
// environment of its allocation.
func (d *devProcess) waiting(t *testing.T, session string) (pids []int) {
	t.Helper()
	alloc := []byte("NOMAD_ALLOC_ID=" + d.alloc(t, session).ID + "\x00")
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || string(line) != "/bin/sh\x00" {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil || !bytes.Contains(append([]byte{0}, env...), append([]byte{0}, alloc...)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		must(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// untilArmed waits until each session of a pool has exactly one armed shell.
func (d *devProcess) untilArmed(t *testing.T, pool string, sessions int) (ids []string) {
	t.Helper()
	until(t, fmt.Sprintf("a shell waits in each of the %d sessions of %s", sessions, pool), func() (bool, string) {
		ids = d.ids(t, pool, "ready")
		saw, armed := fmt.Sprint(len(ids), " ready; shells:"), len(ids) == sessions
		for _, id := range ids {
			n := len(d.waiting(t, id))
			armed = armed && n == 1
			saw += fmt.Sprint(" ", n)
		}
		return armed, saw
	})
	return ids
}

// ids returns a pool's sessions in a state, oldest first.
func (d *devProcess) ids(t *testing.T, pool, state string) (ids []string) {
	t.Helper()
	var list struct {
		Items []struct{ ID, State, Staging string }
	}
	d.ask(t, "GET", "/v1/sessions?limit=1000&staging="+pool, nil, 200, &list)
	for _, s := range list.Items {
		if s.Staging == pool && s.State == state {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// hooksRun returns the broker's count of assign hooks for a value of the label shell.
func (d *devProcess) hooksRun(t *testing.T, shell string) (n int) {
	t.Helper()
	return int(metric(t, d.Broker, `greenroom_assign_hooks_total{shell="`+shell+`"}`))
}

// TestArmedHooks: the sessions that are claimed next have an armed shell, which runs their
// assign hook; assigned sessions keep none. A shell that has ended or hangs costs the launch
// only time. Of two brokers, one keeps the shell of each session.
func TestArmedHooks(t *testing.T) {
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	const desired = 5
	d.stage(t, quickImage("armed"), desired)
	serve := func(user, shell string) launched {
		t.Helper()
		before := d.hooksRun(t, shell)
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("armed", "east", user), 201, &l)
		if got := record(t, l); l.Origin != "staged" || len(l.Attempts) != 1 || len(got) != 1 || got[0].UserName != user {
			t.Errorf("%s: %+v; the session's own record: %+v", user, l, got)
		}
		if d.hooksRun(t, shell) != before+1 {
			t.Errorf("%s: the hook was not run in a shell that was %s", user, shell)
		}
		return l
	}
	d.untilArmed(t, "armed", desired)
	l := serve("ada", "armed")
	until(t, "no shell is left in a session that is somebody's", func() (bool, string) {
		pids := d.waiting(t, l.ID)
		return len(pids) == 0, fmt.Sprint(pids)
	})

	// Every shell that ended is replaced.
	ids := d.untilArmed(t, "armed", desired)
	for _, id := range ids {
		must(t, syscall.Kill(d.waiting(t, id)[0], syscall.SIGKILL))
	}
	ids = d.untilArmed(t, "armed", desired)

	// Shells that hang: the hook is not sent to them; another shell is opened in the session.
	var hung []int
	for _, id := range ids {
		pid := d.waiting(t, id)[0]
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
		hung = append(hung, pid)
	}
	serve("bob", "opened")
	// Nomad does not always end the process of an exec that was closed: let those that it left
	// read the end of their input.
	for _, pid := range hung {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}

	second := &devProcess{readyFile: d.readyFile}
	second.Broker = "http://" + startAgent(t, c, "broker").Address
	d.untilArmed(t, "armed", desired)
	for i := range desired {
		b := []*devProcess{d, second}[i%2]
		var l launched
		b.ask(t, "POST", "/v1/sessions", launch("armed", "east", fmt.Sprint("user-", i)), 201, &l)
		if got := record(t, l); l.Origin != "staged" || len(got) != 1 {
			t.Errorf("%+v; the session's own record: %+v", l, got)
		}
	}
}

// TestAnImageWithoutAHookHasNoShell, nor do the sessions of a deleted pool.
func TestAnImageWithoutAHookHasNoShell(t *testing.T) {
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	plain := quickImage("plain")
	plain.ExecConfig.Assign = nil
	d.stage(t, plain, 2)
	d.stage(t, quickImage("hooked"), 2)
	d.untilArmed(t, "hooked", 2)
	d.untilReady(t, "plain", 2)
	for _, id := range d.ids(t, "plain", "ready") {
		if pids := d.waiting(t, id); len(pids) != 0 {
			t.Errorf("shells %v wait in session %s, whose image has no hook", pids, id)
		}
	}
}
