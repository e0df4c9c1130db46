# The broker serves the HTTP API that hands sessions to users. Any number may run.
#
#   nomad job run -var-file=greenroom.vars nomad/greenroom-broker.nomad.hcl
#
# This file has no variables for secrets, because everyone who can read the job can
# read its variables. Secrets come from the Nomad variable nomad/jobs/greenroom-broker,
# which no other job can read; see ../README.md.

variable "count" {
  type        = number
  default     = 2
  description = "How many brokers. They share a port number, so each needs a node of its own."
}

variable "driver" {
  type        = string
  default     = "docker"
  description = "What runs greenroom: docker (see image), exec or raw_exec (see binary and artifact)."

  validation {
    condition     = contains(["docker", "exec", "raw_exec"], var.driver)
    error_message = "The driver must be docker, exec or raw_exec."
  }
}

variable "image" {
  type        = string
  default     = "greenroom:local"
  description = "With docker: the container image, whose entry point is greenroom."
}

variable "binary" {
  type        = string
  default     = "/usr/local/bin/greenroom"
  description = "With exec or raw_exec: where greenroom is on the nodes."
}

variable "artifact" {
  type        = string
  default     = ""
  description = "With exec or raw_exec: a URL to fetch greenroom from, instead of having it on the nodes."
}

variable "artifact_checksum" {
  type        = string
  default     = ""
  description = "The artifact's checksum, as sha256:HEX; empty for no check."
}

variable "nomad_address" {
  type        = string
  default     = "http://127.0.0.1:4646"
  description = "A Nomad client agent's HTTP address, as reached from the node: its own."
}

variable "consul_address" {
  type        = string
  default     = "127.0.0.1:8500"
  description = "Consul's HTTP address, as reached from the node."
}

variable "redis_address" {
  type        = string
  description = "Redis' address, HOST:PORT; the same for all brokers and scalers."
}

variable "allow_open_consul" {
  type        = bool
  default     = false
  description = "For trials: let the broker start although Consul has no access control, and anybody can read its secrets there."
}

variable "consul_prefix" {
  type        = string
  default     = "greenroom"
  description = "Begins the names of this installation's keys and services in Consul; the same for all its brokers and scalers."
}

variable "redis_prefix" {
  type        = string
  default     = "greenroom"
  description = "Begins the names of this installation's keys in Redis; the same for all its brokers and scalers."
}

variable "region" {
  type        = string
  default     = "global"
  description = "Nomad's region to run in."
}

variable "datacenters" {
  type        = list(string)
  default     = ["*"]
  description = "Nomad's datacenters to run in."
}

variable "namespace" {
  type        = string
  default     = "greenroom"
  description = "Nomad's namespace to run in, which holds no sessions: who may submit jobs to it can read the secrets. A zone names the one of its sessions itself."
}

variable "node_pool" {
  type        = string
  default     = "default"
  description = "Nomad's node pool to run in."
}

variable "port" {
  type        = number
  default     = 7480
  description = "The API's port on the node's address."
}

job "greenroom-broker" {
  type        = "service"
  region      = var.region
  datacenters = var.datacenters
  namespace   = var.namespace
  node_pool   = var.node_pool

  # Update one broker at a time. If a new version does not get ready, return to the last
  # good one at the first failure: with a progress_deadline, Nomad would try the new
  # version on other nodes until the deadline.
  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "10s"
    healthy_deadline  = "2m"
    progress_deadline = "0s"
    auto_revert       = true
  }

  reschedule {
    delay          = "10s"
    delay_function = "exponential"
    max_delay      = "2m"
    unlimited      = true
  }

  group "broker" {
    count = var.count

    # Nomad removes the broker from Consul's catalog first, and stops it after this
    # delay, so that callers can notice.
    shutdown_delay = "5s"

    network {
      port "http" {
        static = var.port
      }
    }

    service {
      name = "${var.consul_prefix}-broker"
      port = "http"

      # Ready: it reaches Nomad, Consul and Redis. While it does not, callers use other
      # brokers.
      check {
        name     = "ready"
        type     = "http"
        path     = "/v1/health/ready"
        interval = "5s"
        timeout  = "3s"
      }

      # Live: it answers. Nomad restarts it only if it does not.
      check {
        name     = "live"
        type     = "http"
        path     = "/v1/health/live"
        interval = "5s"
        timeout  = "3s"

        check_restart {
          limit = 3
          grace = "30s"
        }
      }
    }

    task "broker" {
      driver      = var.driver
      kill_signal = "SIGTERM"

      # A broker that is told to stop finishes the launches that have claimed a session
      # within its drain_timeout (150s by default, as long as an assign hook may take), then
      # closes its connections. Set the client's max_kill_timeout to the same 3 minutes: by
      # default it is 30s, and Nomad then kills the broker, and its users' launches, sooner.
      kill_timeout = "180s"

      dynamic "config" {
        for_each = var.driver == "docker" ? [1] : []
        content {
          image        = var.image
          args         = ["broker"]
          network_mode = "host"
        }
      }

      dynamic "config" {
        for_each = var.driver == "docker" ? [] : [1]
        content {
          command = var.artifact == "" ? var.binary : "local/greenroom"
          args    = ["broker"]
        }
      }

      dynamic "artifact" {
        for_each = var.driver == "docker" || var.artifact == "" ? [] : [var.artifact]
        content {
          source      = artifact.value
          mode        = "file"
          destination = "local/greenroom"

          dynamic "options" {
            for_each = var.artifact_checksum == "" ? [] : [var.artifact_checksum]
            content {
              checksum = options.value
            }
          }
        }
      }

      env {
        GREENROOM_BIND              = "${NOMAD_ADDR_http}"
        GREENROOM_REDIS_ADDR        = var.redis_address
        GREENROOM_REDIS_PREFIX      = var.redis_prefix
        GREENROOM_CONSUL_PREFIX     = var.consul_prefix
        GREENROOM_ALLOW_OPEN_CONSUL = var.allow_open_consul
        NOMAD_ADDR                  = var.nomad_address
        CONSUL_HTTP_ADDR            = var.consul_address
      }

      # NOMAD_TOKEN is the job's own identity, so that no token for Nomad is stored.
      # Nomad grants it the rights of the policies that are attached to this job. Only
      # client agents accept it for parsing jobspecs; see nomad_address.
      identity {
        env = true
      }

      # The other secrets. Each is set only if the Nomad variable has it. nomad_token is
      # for cases in which Nomad does not accept the identity: if nomad_address is a
      # server's, or if zones are in another region.
      template {
        destination = "${NOMAD_SECRETS_DIR}/greenroom.env"
        env         = true
        change_mode = "restart"
        data        = <<-EOT
          {{- if nomadVarExists "nomad/jobs/greenroom-broker" }}
          {{- with nomadVar "nomad/jobs/greenroom-broker" }}
          {{- with .nomad_token.Value }}
          NOMAD_TOKEN={{ . | toJSON }}
          {{- end }}
          {{- with .consul_token.Value }}
          CONSUL_HTTP_TOKEN={{ . | toJSON }}
          {{- end }}
          {{- with .redis_password.Value }}
          GREENROOM_REDIS_PASSWORD={{ . | toJSON }}
          {{- end }}
          {{- with .broker_token.Value }}
          GREENROOM_TOKEN={{ . | toJSON }}
          {{- end }}
          {{- end }}
          {{- end }}
        EOT
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
