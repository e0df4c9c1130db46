// Package e2e tests greenroom as its users have it: the built program, as processes of
// their own, on real Nomad, Consul, Redis and Docker. It holds the harness for that, the
// measurements of make bench, the tortures of make torture, and PROMISES.md, which lists
// what greenroom promises with the tests of it.
package e2e
