// Package jobspecs holds the job templates of the demo image, one for each
// driver, as Nomad takes them.
//
// It promises that each is a complete Nomad job: what is embedded here is what
// `nomad job run` runs from the file beside it. README.md says what greenroom
// makes of such a template and what it expects of yours.
package jobspecs

import _ "embed"

// DemoDocker runs the demo session in Docker. It needs the variable image.
//
//go:embed demo-docker.nomad.hcl
var DemoDocker string

// DemoRawExec runs the demo session as a plain process. It needs the variable
// command.
//
//go:embed demo-raw-exec.nomad.hcl
var DemoRawExec string

// DemoMock runs nothing, by Nomad's mock_driver: for scale. It needs no variable.
//
//go:embed demo-mock.nomad.hcl
var DemoMock string
