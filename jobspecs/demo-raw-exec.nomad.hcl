# The demo session as a plain process, for nodes without Docker. greenroom renames the
# job and adapts it to its zone. To run it without greenroom:
# nomad job run -var command=$PWD/bin/demo-session demo-raw-exec.nomad.hcl

variable "command" {
  type        = string
  description = "Absolute path of the demo-session program on the nodes."
}

variable "warmup" {
  type        = string
  default     = "5s"
  description = "How long a session is unhealthy after its start."
}

variable "record" {
  type        = string
  default     = "K"
  description = "Names of the launch's variables that the session records, with commas between."
}

variable "version" {
  type        = string
  default     = ""
  description = "What the page and /version call the version."
}

variable "log" {
  type        = string
  default     = ""
  description = "A file of the node to which every session also writes whom it served."
}

variable "cpu" {
  type    = number
  default = 50
}

variable "memory" {
  type    = number
  default = 64
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

      check {
        type     = "http"
        path     = "/health"
        interval = "1s"
        timeout  = "1s"
      }
    }

    ephemeral_disk {
      size = 10
    }

    task "session" {
      driver = "raw_exec"

      config {
        command = var.command
        args    = ["-listen", "${NOMAD_ADDR_http}"]
      }

      env {
        DEMO_WARMUP  = var.warmup
        DEMO_RECORD  = var.record
        DEMO_VERSION = var.version
        DEMO_LOG     = var.log
      }

      # Log collection would cost another process per session.
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
