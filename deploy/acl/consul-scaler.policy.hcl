# What a scaler does in Consul: it reads zones, images and staging configs, and
# decides the fate of each session that it retires. The brokers' secrets, which
# are under greenroom/secrets/, are not for it.
key_prefix "greenroom/resources/" {
  policy = "read"
}
key_prefix "greenroom/fates/" {
  policy = "write"
}

# With a session that is gone goes the launch's Idempotency-Key.
key_prefix "greenroom/keys/" {
  policy = "write"
}

# Several scalers share the zones by locks, which a Consul session holds for as
# long as a check of the scaler's own passes.
key_prefix "greenroom/locks/" {
  policy = "write"
}
service "greenroom-scaler-locks" {
  policy = "write"
}

# How each pool stands is shown in Consul, by a service for each. Those of the
# sessions are Nomad's to register.
service_prefix "greenroom-staging-" {
  policy = "write"
}

# A lock is held by a session.
session_prefix "" {
  policy = "write"
}

# The health of the sessions.
service_prefix "greenroom-" {
  policy = "read"
}

# A service is healthy on a node that is; Consul shows neither without this.
node_prefix "" {
  policy = "read"
}
