// Package jobspecs embeds the job templates of the demo image, one for each driver.
//
// Each template is a complete Nomad job, which `nomad job run` accepts without
// greenroom. README.md describes how greenroom uses a template and what it requires of
// your own.
package jobspecs

import _ "embed"

// DemoDocker runs the demo session in Docker. It requires the variable image.
//
//go:embed demo-docker.nomad.hcl
var DemoDocker string

// DemoRawExec runs the demo session as a plain process. It requires the variable
// command.
//
//go:embed demo-raw-exec.nomad.hcl
var DemoRawExec string

// DemoMock uses Nomad's mock_driver, which runs nothing, for tests of scale. It
// requires no variable.
//
//go:embed demo-mock.nomad.hcl
var DemoMock string
