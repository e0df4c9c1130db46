# A gateway's rights in Nomad, in each namespace that a zone uses for its sessions. Add a block
# like this for each other namespace. It starts and stops nothing: a session that its user ends at
# the gateway is stopped by a scaler.
namespace "default" {
  capabilities = [
    "read-job", # while Redis is away: a session's address
  ]
}
