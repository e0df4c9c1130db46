# Code generated from ../../nomad by go generate; DO NOT EDIT.

variable "broker_count" {
  description = "How many brokers. They share a port number, so each needs a node of its own."
  type        = number
  default     = 2
}

variable "driver" {
  description = "What runs greenroom: docker (see image), exec or raw_exec (see binary and artifact)."
  type        = string
  default     = "docker"
}

variable "image" {
  description = "With docker: the container image, whose entry point is greenroom."
  type        = string
  default     = "greenroom:local"
}

variable "binary" {
  description = "With exec or raw_exec: where greenroom is on the nodes."
  type        = string
  default     = "/usr/local/bin/greenroom"
}

variable "artifact" {
  description = "With exec or raw_exec: a URL to fetch greenroom from, instead of having it on the nodes."
  type        = string
  default     = ""
}

variable "artifact_checksum" {
  description = "The artifact's checksum, as sha256:HEX; empty for no check."
  type        = string
  default     = ""
}

variable "nomad_address" {
  description = "A Nomad client agent's HTTP address, as reached from the node: its own."
  type        = string
  default     = "http://127.0.0.1:4646"
}

variable "consul_address" {
  description = "Consul's HTTP address, as reached from the node."
  type        = string
  default     = "127.0.0.1:8500"
}

variable "redis_address" {
  description = "Redis' address, HOST:PORT; the same for all brokers and scalers."
  type        = string
}

variable "allow_open_consul" {
  description = "For trials: let the broker start although Consul has no access control, and anybody can read its secrets there."
  type        = bool
  default     = false
}

variable "gateway_url" {
  description = "The URL by which browsers reach the gateways, such as https://desk.example.org; the same as in the gateways' job. Empty for none."
  type        = string
  default     = ""
}

variable "gateway_domain" {
  description = "The domain below which the gateways give each session a host name, such as desk.example.org; the same as in the gateways' job."
  type        = string
  default     = ""
}

variable "broker_tls" {
  description = "Serve https with tls_cert and tls_key (PEM) of the Nomad variable nomad/jobs/greenroom-broker. Without, something before the brokers ends TLS."
  type        = bool
  default     = false
}

variable "external_url" {
  description = "The URL by which browsers reach the brokers, such as https://greenroom.example.org; gateways link to it when a session has ended. Empty for none."
  type        = string
  default     = ""
}

variable "trusted_proxies" {
  description = "Addresses or networks of the proxies before brokers and gateways, whose X-Forwarded-For is believed."
  type        = list(string)
  default     = []
}

variable "peers" {
  description = "The greenrooms of other regions that zones name, each with the URL of its brokers, such as {west=\"https://greenroom.west.example.org\"}. Their tokens are peer_tokens of the Nomad variable."
  type        = map(string)
  default     = {}
}

variable "consul_identity" {
  description = "Log in to Consul with the job's own identity. false for a consul_token in the Nomad variable, or for a Consul without access control."
  type        = bool
  default     = true
}

variable "ca_cert" {
  description = "The authority that signs the certificates of Nomad, Consul and Redis, in PEM; empty for those that the system trusts."
  type        = string
  default     = ""
}

variable "redis_tls" {
  description = "Connect to Redis by TLS. Nomad and Consul are reached by TLS if their addresses begin with https."
  type        = bool
  default     = false
}

variable "redis_tls_server_name" {
  description = "The name in the certificates of Redis and its Sentinels, if it is not the host of their addresses."
  type        = string
  default     = ""
}

variable "client_cert" {
  description = "Show the servers the certificate client_cert of the Nomad variable, whose key is client_key there."
  type        = bool
  default     = false
}

variable "consul_prefix" {
  description = "Begins the names of this installation's keys and services in Consul; the same for all its brokers and scalers."
  type        = string
  default     = "greenroom"
}

variable "redis_prefix" {
  description = "Begins the names of this installation's keys in Redis; the same for all its brokers and scalers."
  type        = string
  default     = "greenroom"
}

variable "redis_sentinel_master" {
  description = "What the Sentinels of Redis call the primary; redis_address has their addresses then, with commas between."
  type        = string
  default     = ""
}

variable "redis_sentinel_user" {
  description = "The ACL user of the Sentinels, whose password is redis_sentinel_password of the Nomad variable; empty for the default user."
  type        = string
  default     = ""
}

variable "redis_cluster" {
  description = "redis_address has nodes of a Redis Cluster, with commas between."
  type        = bool
  default     = false
}

variable "region" {
  description = "Nomad's region to run in."
  type        = string
  default     = "global"
}

variable "datacenters" {
  description = "Nomad's datacenters to run in."
  type        = list(string)
  default     = ["*"]
}

variable "namespace" {
  description = "Nomad's namespace to run in, which holds no sessions: who may submit jobs to it can read the secrets. A zone names the one of its sessions itself."
  type        = string
  default     = "greenroom"
}

variable "node_pool" {
  description = "Nomad's node pool to run in."
  type        = string
  default     = "default"
}

variable "broker_port" {
  description = "The API's port on the node's address."
  type        = number
  default     = 7480
}

variable "broker_cpu" {
  description = "CPU of one broker, in MHz."
  type        = number
  default     = 500
}

variable "broker_memory" {
  description = "Memory of one broker, in MB; ../sizing.md says when to raise it."
  type        = number
  default     = 256
}

variable "scaler_count" {
  description = "How many scalers. They share a port number, so each needs a node of its own. With one, nobody takes over from it."
  type        = number
  default     = 2
}

variable "scaler_port" {
  description = "The port of health and metrics on the node's address."
  type        = number
  default     = 7481
}

variable "scaler_cpu" {
  description = "CPU of one scaler, in MHz."
  type        = number
  default     = 500
}

variable "scaler_memory" {
  description = "Memory of one scaler, in MB; ../sizing.md says when to raise it."
  type        = number
  default     = 256
}

variable "gateway_count" {
  description = "How many gateways. They share a port number, so each needs a node of its own."
  type        = number
  default     = 2
}

variable "gateway_allowed_origins" {
  description = "Origins, such as https://portal.example.org, whose pages may call sessions and show them in frames."
  type        = list(string)
  default     = []
}

variable "gateway_tls" {
  description = "Serve https with tls_cert and tls_key (PEM) of the Nomad variable nomad/jobs/greenroom-gateway. Without, something before the gateways ends TLS."
  type        = bool
  default     = false
}

variable "gateway_port" {
  description = "The gateway's port on the node's address."
  type        = number
  default     = 7482
}

variable "gateway_cpu" {
  description = "CPU of one gateway, in MHz."
  type        = number
  default     = 500
}

variable "gateway_memory" {
  description = "Memory of one gateway, in MB; ../sizing.md says when to raise it."
  type        = number
  default     = 256
}
