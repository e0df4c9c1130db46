# A desktop with a browser, in Docker. `make desktop` builds its image. greenroom renames the job
# and adapts it to its zone.

variable "image" {
  type        = string
  description = "Docker image of the desktop, as `make desktop` prints it."
}

variable "size" {
  type        = string
  default     = "1280x800"
  description = "Size of the screen until a user's window gives it another."
}

variable "network_mode" {
  type        = string
  default     = "bridge"
  description = "Docker's network for the session: with \"host\" the browser reaches what listens on the node's loopback, too."
}

variable "cpu" {
  type    = number
  default = 300
}

variable "memory" {
  type        = number
  default     = 1024
  description = "MB, of which an open browser takes about 300."
}

job "desktop" {
  type = "batch"

  group "session" {
    count = 1

    network {
      # The session listens on the port that NOMAD_PORT_http has, so that both networks work.
      port "http" {}
    }

    service {
      name     = "desktop"
      provider = "consul"
      port     = "http"

      # The bridge answers, the X server speaks VNC, and it shows a window.
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
        image        = var.image
        force_pull   = false
        network_mode = var.network_mode
        ports        = ["http"]

        # The image runs as user 1000. It gains no rights, and writes into memory only, which ends
        # with the session.
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        pids_limit      = 1000
        mount {
          type   = "tmpfs"
          target = "/tmp"
          tmpfs_options {
            size = 536870912 # bytes
          }
        }
        mount {
          type   = "tmpfs"
          target = "/home/desktop"
          tmpfs_options {
            size = 536870912
          }
        }
      }

      env {
        DESKTOP_SIZE = var.size
      }

      # Use `docker logs`: Nomad's log collection would cost two processes per session.
      logs {
        disabled      = true
        max_files     = 1
        max_file_size = 1
      }

      kill_timeout = "2s"

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
