# What a broker does in Consul: it keeps zones, images and staging configs, and
# decides the fate of each session that it gives away.
key_prefix "greenroom/" {
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
