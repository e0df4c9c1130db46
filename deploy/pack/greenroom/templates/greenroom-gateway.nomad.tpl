[[- if or (var "gateway_url" .) (var "gateway_domain" .) -]]
[[- /* Code generated from ../../../nomad/greenroom-gateway.nomad.hcl by go generate; DO NOT EDIT. */ -]]
# The gateway routes users' browsers to their sessions, HTTP and WebSocket. Any number may run.
# It may also run in the brokers: then leave this job out.
#
#   nomad job run -var-file=greenroom.vars nomad/greenroom-gateway.nomad.hcl
#
# This file has no variables for secrets, because everyone who can read the job can
# read its variables. Secrets come from the Nomad variable nomad/jobs/greenroom-gateway,
# which no other job can read; see ../README.md.

variable "count" {
  type        = number
  default     = [[ var "gateway_count" . | toJson ]]
  description = "How many gateways. They share a port number, so each needs a node of its own."
}

variable "driver" {
  type        = string
  default     = [[ var "driver" . | toJson ]]
  description = "What runs greenroom: docker (see image), exec or raw_exec (see binary and artifact)."

  validation {
    condition     = contains(["docker", "exec", "raw_exec"], var.driver)
    error_message = "The driver must be docker, exec or raw_exec."
  }
}

variable "image" {
  type        = string
  default     = [[ var "image" . | toJson ]]
  description = "With docker: the container image, whose entry point is greenroom."
}

variable "binary" {
  type        = string
  default     = [[ var "binary" . | toJson ]]
  description = "With exec or raw_exec: where greenroom is on the nodes."
}

variable "artifact" {
  type        = string
  default     = [[ var "artifact" . | toJson ]]
  description = "With exec or raw_exec: a URL to fetch greenroom from, instead of having it on the nodes."
}

variable "artifact_checksum" {
  type        = string
  default     = [[ var "artifact_checksum" . | toJson ]]
  description = "The artifact's checksum, as sha256:HEX; empty for no check."
}

variable "nomad_address" {
  type        = string
  default     = [[ var "nomad_address" . | toJson ]]
  description = "A Nomad client agent's HTTP address, as reached from the node: its own."
}

variable "consul_address" {
  type        = string
  default     = [[ var "consul_address" . | toJson ]]
  description = "Consul's HTTP address, as reached from the node."
}

variable "redis_address" {
  type        = string
  description = "Redis' address, HOST:PORT; the same for all brokers, scalers and gateways."
  default     = [[ var "redis_address" . | toJson ]]
}

variable "gateway_url" {
  type        = string
  default     = [[ var "gateway_url" . | toJson ]]
  description = "The URL by which browsers reach the gateways, such as https://desk.example.org. With gateway_domain it says no more than scheme and port."
}

variable "gateway_domain" {
  type        = string
  default     = [[ var "gateway_domain" . | toJson ]]
  description = "The domain below which each session has a host name of its own, such as desk.example.org; empty for paths below gateway_url."
}

variable "gateway_allowed_origins" {
  type        = list(string)
  default     = [[ var "gateway_allowed_origins" . | toJson ]]
  description = "Origins, such as https://portal.example.org, whose pages may call sessions and show them in frames."
}

variable "gateway_tls" {
  type        = bool
  default     = [[ var "gateway_tls" . | toJson ]]
  description = "Serve https with tls_cert and tls_key (PEM) of the Nomad variable nomad/jobs/greenroom-gateway. Without, something before the gateways ends TLS."
}

variable "external_url" {
  type        = string
  default     = [[ var "external_url" . | toJson ]]
  description = "The URL by which browsers reach the brokers, such as https://greenroom.example.org; gateways link to it when a session has ended. Empty for none."
}

variable "trusted_proxies" {
  type        = list(string)
  default     = [[ var "trusted_proxies" . | toJson ]]
  description = "Addresses or networks of the proxies before brokers and gateways, whose X-Forwarded-For is believed."
}

variable "consul_identity" {
  type        = bool
  default     = [[ var "consul_identity" . | toJson ]]
  description = "Log in to Consul with the job's own identity. false for a consul_token in the Nomad variable, or for a Consul without access control."
}

variable "ca_cert" {
  type        = string
  default     = [[ var "ca_cert" . | toJson ]]
  description = "The authority that signs the certificates of Nomad, Consul and Redis, in PEM; empty for those that the system trusts."
}

variable "redis_tls" {
  type        = bool
  default     = [[ var "redis_tls" . | toJson ]]
  description = "Connect to Redis by TLS. Nomad and Consul are reached by TLS if their addresses begin with https."
}

variable "redis_tls_server_name" {
  type        = string
  default     = [[ var "redis_tls_server_name" . | toJson ]]
  description = "The name in the certificates of Redis and its Sentinels, if it is not the host of their addresses."
}

variable "client_cert" {
  type        = bool
  default     = [[ var "client_cert" . | toJson ]]
  description = "Show the servers the certificate client_cert of the Nomad variable, whose key is client_key there."
}

variable "consul_prefix" {
  type        = string
  default     = [[ var "consul_prefix" . | toJson ]]
  description = "Begins the names of this installation's keys and services in Consul; the same for all its brokers, scalers and gateways."
}

variable "redis_prefix" {
  type        = string
  default     = [[ var "redis_prefix" . | toJson ]]
  description = "Begins the names of this installation's keys in Redis; the same for all its brokers, scalers and gateways."
}

variable "redis_sentinel_master" {
  type        = string
  default     = [[ var "redis_sentinel_master" . | toJson ]]
  description = "What the Sentinels of Redis call the primary; redis_address has their addresses then, with commas between."
}

variable "redis_sentinel_user" {
  type        = string
  default     = [[ var "redis_sentinel_user" . | toJson ]]
  description = "The ACL user of the Sentinels, whose password is redis_sentinel_password of the Nomad variable; empty for the default user."
}

variable "redis_cluster" {
  type        = bool
  default     = [[ var "redis_cluster" . | toJson ]]
  description = "redis_address has nodes of a Redis Cluster, with commas between."
}

variable "region" {
  type        = string
  default     = [[ var "region" . | toJson ]]
  description = "Nomad's region to run in."
}

variable "datacenters" {
  type        = list(string)
  default     = [[ var "datacenters" . | toJson ]]
  description = "Nomad's datacenters to run in."
}

variable "namespace" {
  type        = string
  default     = [[ var "namespace" . | toJson ]]
  description = "Nomad's namespace to run in, which holds no sessions: who may submit jobs to it can read the secrets. A zone names the one of its sessions itself."
}

variable "node_pool" {
  type        = string
  default     = [[ var "node_pool" . | toJson ]]
  description = "Nomad's node pool to run in."
}

variable "port" {
  type        = number
  default     = [[ var "gateway_port" . | toJson ]]
  description = "The gateway's port on the node's address."
}

variable "cpu" {
  type        = number
  default     = [[ var "gateway_cpu" . | toJson ]]
  description = "CPU of one gateway, in MHz."
}

variable "memory" {
  type        = number
  default     = [[ var "gateway_memory" . | toJson ]]
  description = "Memory of one gateway, in MB; ../sizing.md says when to raise it."
}

job "greenroom-gateway" {
  type        = "service"
  region      = var.region
  datacenters = var.datacenters
  namespace   = var.namespace
  node_pool   = var.node_pool

  # Update one gateway at a time: what is open at it is cut, and browsers go on at another. If a new version does not get ready, return to the last
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

  group "gateway" {
    count = var.count

    # Nomad removes the gateway from Consul's catalog first, and stops it after this
    # delay, so that balancers can notice.
    shutdown_delay = "5s"

    network {
      port "http" {
        static = var.port
      }
    }

    service {
      name = "${var.consul_prefix}-gateway"
      port = "http"

      # Ready: it has the keys by which it knows users. What it knows needs no server, so it
      # stays ready while Redis, Consul and Nomad are away.
      check {
        name     = "ready"
        type     = "http"
        path     = "/v1/health/ready"
        interval = "5s"
        timeout  = "3s"
        protocol = var.gateway_tls ? "https" : "http"

        # The certificate is for the names that browsers use.
        tls_skip_verify = var.gateway_tls
      }

      # Live: it answers. Nomad restarts it only if it does not.
      check {
        name     = "live"
        type     = "http"
        path     = "/v1/health/live"
        interval = "5s"
        timeout  = "3s"
        protocol = var.gateway_tls ? "https" : "http"

        tls_skip_verify = var.gateway_tls

        check_restart {
          limit = 3
          grace = "30s"
        }
      }
    }

    task "gateway" {
      driver      = var.driver
      kill_signal = "SIGTERM"

      # A gateway that is told to stop lets requests finish for some seconds, and closes
      # WebSockets.
      kill_timeout = "30s"

      dynamic "config" {
        for_each = var.driver == "docker" ? [1] : []
        content {
          image        = var.image
          args         = ["gateway"]
          network_mode = "host"
        }
      }

      dynamic "config" {
        for_each = var.driver == "docker" ? [] : [1]
        content {
          command = var.artifact == "" ? var.binary : "local/greenroom"
          args    = ["gateway"]
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
        GREENROOM_GATEWAY_BIND            = "${NOMAD_ADDR_http}"
        GREENROOM_GATEWAY_URL             = var.gateway_url
        GREENROOM_GATEWAY_DOMAIN          = var.gateway_domain
        GREENROOM_GATEWAY_ALLOWED_ORIGINS = join(",", var.gateway_allowed_origins)
        GREENROOM_GATEWAY_TLS_CERT        = var.gateway_tls ? "${NOMAD_SECRETS_DIR}/gateway.pem" : ""
        GREENROOM_GATEWAY_TLS_KEY         = var.gateway_tls ? "${NOMAD_SECRETS_DIR}/gateway.key" : ""
        GREENROOM_EXTERNAL_URL            = var.external_url
        GREENROOM_TRUSTED_PROXIES         = join(",", var.trusted_proxies)
        GREENROOM_REDIS_ADDR              = var.redis_address
        GREENROOM_REDIS_PREFIX            = var.redis_prefix
        GREENROOM_REDIS_SENTINEL_MASTER   = var.redis_sentinel_master
        GREENROOM_REDIS_SENTINEL_USER     = var.redis_sentinel_user
        GREENROOM_REDIS_CLUSTER           = var.redis_cluster
        GREENROOM_CONSUL_PREFIX           = var.consul_prefix
        NOMAD_ADDR                        = var.nomad_address
        CONSUL_HTTP_ADDR                  = var.consul_address
        GREENROOM_REDIS_TLS               = var.redis_tls
        GREENROOM_REDIS_TLS_SERVER_NAME   = var.redis_tls_server_name

        NOMAD_CACERT                = var.ca_cert == "" ? "" : "${NOMAD_TASK_DIR}/ca.pem"
        CONSUL_CACERT               = var.ca_cert == "" ? "" : "${NOMAD_TASK_DIR}/ca.pem"
        GREENROOM_REDIS_CACERT      = var.ca_cert == "" ? "" : "${NOMAD_TASK_DIR}/ca.pem"
        NOMAD_CLIENT_CERT           = var.client_cert ? "${NOMAD_SECRETS_DIR}/client.pem" : ""
        CONSUL_CLIENT_CERT          = var.client_cert ? "${NOMAD_SECRETS_DIR}/client.pem" : ""
        GREENROOM_REDIS_CLIENT_CERT = var.client_cert ? "${NOMAD_SECRETS_DIR}/client.pem" : ""
        NOMAD_CLIENT_KEY            = var.client_cert ? "${NOMAD_SECRETS_DIR}/client.key" : ""
        CONSUL_CLIENT_KEY           = var.client_cert ? "${NOMAD_SECRETS_DIR}/client.key" : ""
        GREENROOM_REDIS_CLIENT_KEY  = var.client_cert ? "${NOMAD_SECRETS_DIR}/client.key" : ""

        # A task of the exec driver runs as nobody, who may not read the file. It has the
        # token of its start in CONSUL_HTTP_TOKEN, which Nomad sets.
        CONSUL_HTTP_TOKEN_FILE = var.consul_identity && var.driver != "exec" ? "${NOMAD_SECRETS_DIR}/consul_token" : ""
      }

      # NOMAD_TOKEN is the job's own identity, so that no token for Nomad is stored.
      # Nomad grants it the rights of the policies that are attached to this job. Only
      # client agents accept it for parsing jobspecs; see nomad_address.
      identity {
        env = true
      }

      # With this identity Nomad logs in to Consul for the task. The binding rule for this
      # job there says what the token may. It ends with the allocation.
      dynamic "identity" {
        for_each = var.consul_identity ? [1] : []
        content {
          name = "consul_default"
          aud  = ["consul.io"]
          ttl  = "1h"
        }
      }

      dynamic "consul" {
        for_each = var.consul_identity ? [1] : []
        content {}
      }

      # The other secrets. Each is set only if the Nomad variable has it. nomad_token is
      # for cases in which Nomad does not accept the identity: if nomad_address is a
      # server's, or if zones are in another region. consul_token is for
      # consul_identity = false.
      template {
        destination = "${NOMAD_SECRETS_DIR}/greenroom.env"
        env         = true
        change_mode = "restart"
        data        = <<-EOT
          {{- if nomadVarExists "nomad/jobs/greenroom-gateway" }}
          {{- with nomadVar "nomad/jobs/greenroom-gateway" }}
          {{- with .nomad_token.Value }}
          NOMAD_TOKEN={{ . | toJSON }}
          {{- end }}
          {{- with .consul_token.Value }}
          CONSUL_HTTP_TOKEN={{ . | toJSON }}
          {{- end }}
          {{- with .redis_user.Value }}
          GREENROOM_REDIS_USER={{ . | toJSON }}
          {{- end }}
          {{- with .redis_password.Value }}
          GREENROOM_REDIS_PASSWORD={{ . | toJSON }}
          {{- end }}
          {{- with .redis_sentinel_password.Value }}
          GREENROOM_REDIS_SENTINEL_PASSWORD={{ . | toJSON }}
          {{- end }}
          {{- end }}
          {{- end }}
        EOT
      }

      # What the servers' certificates are checked with, and the job's own for them.
      dynamic "template" {
        for_each = var.ca_cert == "" ? [] : [var.ca_cert]
        content {
          destination = "${NOMAD_TASK_DIR}/ca.pem"
          data        = template.value
        }
      }

      dynamic "template" {
        for_each = var.client_cert ? { "client.pem" = "client_cert", "client.key" = "client_key" } : {}
        content {
          destination = "${NOMAD_SECRETS_DIR}/${template.key}"
          change_mode = "restart"
          data        = <<-EOT
            {{- with nomadVar "nomad/jobs/greenroom-gateway" }}{{ .${template.value}.Value }}{{ end }}
          EOT
        }
      }

      # The certificate and its key, which are read again when they change.
      dynamic "template" {
        for_each = var.gateway_tls ? { "gateway.pem" = "tls_cert", "gateway.key" = "tls_key" } : {}
        content {
          destination = "${NOMAD_SECRETS_DIR}/${template.key}"
          change_mode = "noop"
          data        = <<-EOT
            {{- with nomadVar "nomad/jobs/greenroom-gateway" }}{{ .${template.value}.Value }}{{ end }}
          EOT
        }
      }

      # ../sizing.md has what these are measured by, and when to raise them.
      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
[[- end -]]
