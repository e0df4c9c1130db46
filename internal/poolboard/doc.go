// Package poolboard publishes in Consul's catalog how full each pool is, for people who
// look at Consul alone: one service per pool, with a TTL check that has the pool's numbers
// and conditions as its output.
//
// It promises that the status of a pool that is shown is in Consul a moment later; that
// the service of a pool that is gone is deregistered; that a check becomes critical by
// itself when its scaler dies or loses sync; that services which another scaler has left
// in this scaler's zones are deregistered; and that a pool costs Consul's servers a
// bounded number of writes, whatever happens in it.
package poolboard
