# One Redis for an installation, for those who run none yet. It keeps what it has on its node
# (appendonly), and comes back on the same node where that is possible; greenroom builds all of
# it again where it is not. For a Redis that fails over, see ../README.md.
#
#   nomad job run -var-file=redis.vars nomad/redis.nomad.hcl
#
# The password comes from the Nomad variable nomad/jobs/greenroom-redis, which no other job can
# read. Redis gets its SHA-256 alone.

variable "driver" {
  type        = string
  default     = "docker"
  description = "What runs redis-server: docker (see image), exec or raw_exec (see binary)."

  validation {
    condition     = contains(["docker", "exec", "raw_exec"], var.driver)
    error_message = "The driver must be docker, exec or raw_exec."
  }
}

variable "image" {
  type        = string
  default     = "redis:7.4"
  description = "With docker: the container image, which has redis-server; version 6.2 or newer."
}

variable "binary" {
  type        = string
  default     = "/usr/bin/redis-server"
  description = "With exec or raw_exec: where redis-server is on the nodes."
}

variable "region" {
  type        = string
  default     = "global"
  description = "Nomad's region to run in."
}

variable "datacenters" {
  type        = list(string)
  default     = ["*"]
  description = "Nomad's datacenters to run in: those of the brokers and scalers."
}

variable "namespace" {
  type        = string
  default     = "greenroom"
  description = "Nomad's namespace to run in, which holds no sessions: who may submit jobs to it can read the secrets."
}

variable "node_pool" {
  type        = string
  default     = "default"
  description = "Nomad's node pool to run in."
}

variable "service" {
  type        = string
  default     = "redis"
  description = "The name in Consul, and so the first part of redis_address: redis.service.consul:6379."
}

variable "port" {
  type        = number
  default     = 6379
  description = "Redis' port on the node's address."
}

variable "memory" {
  type        = number
  default     = 256
  description = "Memory in MB. Redis holds a few KB for each session, and some 10 MB of events."
}

variable "disk" {
  type        = number
  default     = 1024
  description = "Disk for the append-only file in MB; four times the memory leaves room for its rewriting."
}

job "greenroom-redis" {
  type        = "service"
  region      = var.region
  datacenters = var.datacenters
  namespace   = var.namespace
  node_pool   = var.node_pool

  # Brokers and scalers go on without Redis for as long as it takes.
  reschedule {
    delay          = "10s"
    delay_function = "exponential"
    max_delay      = "2m"
    unlimited      = true
  }

  group "redis" {
    count = 1

    # Two servers with the same data must never run at once: while a node is cut off, nothing
    # replaces its Redis for a minute, and what comes back is stopped.
    disconnect {
      lost_after = "1m"
      replace    = true
      reconcile  = "keep_replacement"
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "2s"
      mode     = "delay"
    }

    # The data stays with the job: on the same node if it may, else it is moved.
    ephemeral_disk {
      sticky  = true
      migrate = true
      size    = var.disk
    }

    network {
      port "redis" {
        static = var.port
      }
    }

    service {
      name = var.service
      port = "redis"

      check {
        name     = "listens"
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "redis" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      dynamic "config" {
        for_each = var.driver == "docker" ? [1] : []
        content {
          image        = var.image
          command      = "redis-server"
          args         = ["${NOMAD_SECRETS_DIR}/redis.conf"]
          network_mode = "host"
        }
      }

      dynamic "config" {
        for_each = var.driver == "docker" ? [] : [1]
        content {
          command = var.binary
          args    = ["${NOMAD_SECRETS_DIR}/redis.conf"]
        }
      }

      # noeviction: greenroom cannot detect that a part was evicted.
      template {
        destination = "${NOMAD_SECRETS_DIR}/redis.conf"
        change_mode = "restart"
        data        = <<-EOT
          bind {{ env "NOMAD_IP_redis" }}
          port {{ env "NOMAD_PORT_redis" }}
          dir {{ env "NOMAD_ALLOC_DIR" }}/data
          appendonly yes
          maxmemory-policy noeviction
          {{- with nomadVar "nomad/jobs/greenroom-redis" }}
          user default on #{{ .password.Value | sha256Hex }} ~* &* +@all
          {{- end }}
        EOT
      }

      resources {
        cpu    = 500
        memory = var.memory
      }
    }
  }
}
