package devcluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Each cluster leases a block of ports. The owner of a block listens on its first port,
// so that clusters of different processes, such as the tests of two packages and a
// `greenroom dev`, never use the same port. The blocks are outside Linux's default
// range for outgoing connections (32768 to 60999), which take ports at random.

// block is a range of size ports that begins with first.
type block struct{ first, size int }

// serverPorts is how many ports at the start of a large block are for servers. The rest
// is for Nomad's sessions.
const serverPorts = 100

// largeBlocks are for clusters with Nomad, smallBlocks for clusters without it.
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

// portLease is a block of ports that belongs to one cluster until release.
type portLease struct {
	block
	// guard listens on the block's first port.
	guard net.Listener
	// next is the next port that take tries.
	next int
}

// leasePorts leases the block that begins with prefer if it is free, and otherwise the
// first free one.
func leasePorts(blocks []block, prefer int) (*portLease, error) {
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
		return &portLease{block: b, guard: guard, next: b.first + 1}, nil
	}
	return nil, fmt.Errorf("all %d blocks of ports on 127.0.0.1 are in use by other clusters", len(blocks))
}

// take returns the next n ports of the servers' part of the block on which nothing
// listens.
func (l *portLease) take(n int) ([]int, error) {
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

// sessions splits the sessions' part of the block into n ranges and returns the first
// and the last port of the i-th.
func (l *portLease) sessions(i, n int) (first, last int) {
	each := (l.size - serverPorts) / n
	first = l.first + serverPorts + i*each
	return first, first + each - 1
}

func (l *portLease) release() { l.guard.Close() }

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

// tryLock locks a file and creates it if needed. Closing the file unlocks it. tryLock
// returns errLocked if another process holds the lock.
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
