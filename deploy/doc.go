// Package deploy holds what a cluster needs to run greenroom: Nomad job files for the
// broker and the scaler, the ACL policies that each needs in Nomad and Consul, alerts
// for Prometheus and a dashboard for Grafana. README.md describes the installation.
//
// It has no code. Its tests check that Nomad accepts the job files in every variant,
// that a token with one of the policies can do everything that its component does, and
// that it can do nothing else.
package deploy
