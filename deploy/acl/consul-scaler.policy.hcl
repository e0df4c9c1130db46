# What a scaler does in Consul: it reads zones, images and staging configs, and
# decides the fate of each session that it retires. The brokers' secrets, which
# are under greenroom/secrets/, are not for it.
key_prefix "greenroom/resources/" {
  policy = "read"
}
key_prefix "greenroom/fates/" {
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
