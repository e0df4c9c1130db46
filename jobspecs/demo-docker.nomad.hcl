# The demo session in Docker. greenroom renames the job and adapts it to its zone.
# To run it without greenroom: nomad job run -var image=greenroom/demo:TAG demo-docker.nomad.hcl

variable "image" {
  type        = string
  description = "Docker image with the demo session at /demo-session; `greenroom dev` makes it."
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
      port "http" {
        to = 8080
      }
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
      driver = "docker"

      config {
        image      = var.image
        force_pull = false
        ports      = ["http"]
        command    = "/demo-session"
        args       = ["-listen", ":${NOMAD_PORT_http}"]
      }

      env {
        DEMO_WARMUP  = var.warmup
        DEMO_RECORD  = var.record
        DEMO_VERSION = var.version
      }

      # Use `docker logs`: Nomad's log collection would cost two processes per session.
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
