// Package regions tests greenroom in two federated Nomad regions: each has servers, a scaler and
// brokers of its own, and launches cross from one to the other.
package regions
