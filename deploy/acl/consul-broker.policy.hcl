# A broker's rights in Consul. It stores zones, images and staging configs, and writes
# the fate record of each session that it hands to a user.
key_prefix "greenroom/" {
  policy = "write"
}

# It shows that it is alive, so that a scaler ends at once what a broker left that died.
service "greenroom-broker-presence" {
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
