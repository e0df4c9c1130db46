// Package devcluster starts real Consul, Redis and Nomad servers on loopback for
// `greenroom dev` and for tests, and removes them again.
//
// When Start returns, the cluster is ready: Consul and Nomad have leaders, every Nomad
// client is ready with the requested drivers, and Redis answers PING. When Stop
// returns, nothing of the cluster is left: no process, container, mount or open port,
// and no file unless the caller named a directory to keep. The package ends only what
// it started. If a server does not start, the error names it and shows the end of its
// log.
//
// It is for a developer's machine: the servers have no access control and listen on
// 127.0.0.1 only. Nomad and Consul are used from PATH if their version is supported.
// Otherwise they are built once from their published Go modules and kept in the user's
// cache directory. Nothing of them is linked into greenroom.
//
// If the process is killed, the kernel kills the servers, too. The next Start removes
// what their tasks left behind.
package devcluster
