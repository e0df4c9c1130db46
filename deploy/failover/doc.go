// Package failover has the tests of greenroom without a single point of failure: Redis behind
// Sentinels, a Redis Cluster, and three servers each of Nomad and Consul, with two brokers, two
// scalers and two gateways. Callers launch while the primary or leader is killed.
package failover
