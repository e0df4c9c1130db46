// Package deploy is what a cluster needs to run greenroom: Nomad job files for
// the broker and the scaler, and the ACL policies that each needs in Nomad and
// Consul. README.md says how they go onto a cluster.
//
// It holds no code. Its tests promise that Nomad takes the job files in every
// variant, that a token with one of the policies can do all that its component
// does, and that it can do nothing beside.
package deploy
