# A mock session: Nomad's mock_driver runs nothing, so thousands of them fit on one
# machine. It has no check, so its service passes once it is registered. To run it
# without greenroom: nomad job run demo-mock.nomad.hcl

variable "run_for" {
  type        = string
  default     = "24h"
  description = "How long a session pretends to run."
}

variable "starts_in" {
  type        = string
  default     = "0s"
  description = "How long a session takes to start."
}

variable "cpu" {
  type    = number
  default = 10
}

variable "memory" {
  type    = number
  default = 10
}

job "demo" {
  type = "batch"

  group "session" {
    count = 1

    network {
      port "http" {}
    }

    service {
      name     = "demo"
      provider = "consul"
      port     = "http"
    }

    ephemeral_disk {
      size = 10
    }

    task "session" {
      driver = "mock_driver"

      config {
        run_for         = var.run_for
        start_block_for = var.starts_in
      }

      logs {
        disabled      = true
        max_files     = 1
        max_file_size = 1
      }

      kill_timeout = "1s"

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
