package devcluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Ports are handed out in blocks, each guarded by its first port, on which its
// owner listens, so that clusters of several processes (tests of two packages, a
// `greenroom dev` beside them, whoever runs them) never reach for the same port. The blocks lie outside Linux's
// default range for outgoing connections (32768 to 60999), which would take
// ports at random.

// block is a range of ports: first, and size of them.
type block struct{ first, size int }

// serverPorts is the part at the head of a large block that is for servers;
// the rest is for Nomad's sessions.
const serverPorts = 100

// largeBlocks are for clusters with Nomad, smallBlocks for those without.
var (
	largeBlocks = []block{{10000, 4300}, {14300, 4300}, {18600, 4300}, {22900, 4300}, {27200, 4300}, {61000, 4500}}
	smallBlocks = func() []block {
		var blocks []block
		for first := 31500; first < 32700; first += 20 {
			blocks = append(blocks, block{first, 20})
		}
		return blocks
	}()
)

// lease is a block of ports that is ours until it is released.
type lease struct {
	block
	guard net.Listener
	next  int
}

// leasePorts takes the first free block, or the one that begins at prefer when
// that is free.
func leasePorts(blocks []block, prefer int) (*lease, error) {
	ordered := make([]block, 0, len(blocks)+1)
	for _, b := range blocks {
		if b.first == prefer {
			ordered = append(ordered, b)
		}
	}
	ordered = append(ordered, blocks...)
	for _, b := range ordered {
		guard, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", b.first))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &lease{block: b, guard: guard, next: b.first + 1}, nil
	}
	return nil, fmt.Errorf("all %d blocks of ports on 127.0.0.1 are in use by other clusters", len(blocks))
}

// take returns the next n ports of the block that nothing listens on, from the
// part that is for servers.
func (l *lease) take(n int) ([]int, error) {
	limit := l.first + min(l.size, serverPorts)
	var ports []int
	for ; l.next < limit && len(ports) < n; l.next++ {
		if portFree(l.next) {
			ports = append(ports, l.next)
		}
	}
	if len(ports) < n {
		return nil, fmt.Errorf("no free port is left between %d and %d on 127.0.0.1", l.first, limit-1)
	}
	return ports, nil
}

// sessions splits what is left of the block in n ranges and returns the i-th,
// both ends included.
func (l *lease) sessions(i, n int) (first, last int) {
	each := (l.size - serverPorts) / n
	first = l.first + serverPorts + i*each
	return first, first + each - 1
}

func (l *lease) release() { l.guard.Close() }

// portFree reports whether a server could listen on the port.
func portFree(port int) bool {
	ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

var errLocked = errors.New("locked by another process")

// tryLock locks a file that it creates when needed; closing it unlocks. It
// returns errLocked when another holds it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
