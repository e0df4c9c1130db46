// Package deploy holds what a cluster needs to run greenroom: Nomad job files for the
// broker, the scaler and the gateway, the rights that each needs in Nomad, Consul and Redis,
// how Consul knows them, alerts for Prometheus and a dashboard for Grafana. README.md
// describes the installation.
//
// It has no code. Its tests check that Nomad accepts the job files in every variant,
// that a token or user with one of the policies can do everything that its component does, and
// that it can do nothing else; that each alert fires when it should and has its section in
// the runbook.
package deploy

//go:generate go run ./pack/generate
