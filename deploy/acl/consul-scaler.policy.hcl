# A scaler's rights in Consul. It reads zones, images and staging configs, and writes
# the fate record of each session that it retires. It cannot read the brokers'
# secrets, which are under greenroom/secrets/.
key_prefix "greenroom/resources/" {
  policy = "read"
}
key_prefix "greenroom/fates/" {
  policy = "write"
}

# The first agent that starts stores the installation's id.
key "greenroom/installation" {
  policy = "write"
}

# The generation of staged sessions, which shows that Consul was restored from a snapshot.
key "greenroom/generation" {
  policy = "write"
}

# The pools' histories, from which their demand is learned.
key_prefix "greenroom/history/" {
  policy = "write"
}

# When a session is gone, the scaler deletes the Idempotency-Key of its launch.
key_prefix "greenroom/keys/" {
  policy = "write"
}

# When nothing of a session runs any more, the scaler frees its user's profile.
key_prefix "greenroom/profiles/" {
  policy = "write"
}

# How far each webhook's events were taken, which shows that Redis lost some.
key_prefix "greenroom/webhooks/" {
  policy = "write"
}

# Places that are reserved under a max_sessions.
key "greenroom/reservations" {
  policy = "write"
}

# Several scalers share the zones by locks. A Consul session holds a scaler's locks
# while the scaler's own check passes.
key_prefix "greenroom/locks/" {
  policy = "write"
}
service "greenroom-scaler-locks" {
  policy = "write"
}

# The scaler publishes the status of each pool as a service. It does not register
# the services of sessions: Nomad does.
service_prefix "greenroom-staging-" {
  policy = "write"
}

# It shows whose each assigned session is: instances of this service, on a node of our own
# in the catalog, which is no machine. It may change no other node.
service "greenroom-sessions" {
  policy = "write"
}
node "greenroom-sessions" {
  policy = "write"
}

# It creates the Consul session that holds its locks.
session_prefix "" {
  policy = "write"
}

# It reads the health of the sessions.
service_prefix "greenroom-" {
  policy = "read"
}

# A service is healthy only if its node is, and Consul shows neither without this.
node_prefix "" {
  policy = "read"
}
