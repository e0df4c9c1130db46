// Package devcluster starts real Consul, Redis and Nomad servers on loopback,
// for `greenroom dev` and for tests, and takes them all away again.
//
// It promises that a cluster that Start returned answers: Consul and Nomad
// have their leaders, every Nomad client is ready with the drivers that were
// asked for, Redis says PONG. It promises that after Stop nothing of it is
// left: no process, no container, no mount, no port, and no file unless the
// caller named a directory to keep. It ends only what it started. When a
// server cannot start, the error names it and shows the end of its log.
//
// It trusts the machine to be a developer's: the servers have no access
// control and listen on 127.0.0.1 only. Nomad and Consul of a supported version
// are used from PATH; otherwise they are built once from their published Go
// modules and kept in the user's cache directory. They are tools here: nothing
// of them is linked into greenroom.
//
// Should the whole process be killed outright, the kernel kills the servers
// with it; what their tasks leave behind is swept by the next Start.
package devcluster
