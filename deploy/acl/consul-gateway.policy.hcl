# A gateway's rights in Consul. It reads whose a session is, and who is locked out. It cannot read
# the brokers' tokens and secrets, and decides nothing.
key_prefix "greenroom/fates/" {
  policy = "read"
}
key_prefix "greenroom/locked-users/" {
  policy = "read"
}

# Zones, for the namespaces of their sessions.
key_prefix "greenroom/resources/" {
  policy = "read"
}

# The keys that sign links and cookies. Brokers or gateways make them, whoever needs them first.
key_prefix "greenroom/gateway-secrets/" {
  policy = "write"
}

# Which installation it belongs to.
key "greenroom/installation" {
  policy = "read"
}

# Show that this gateway is alive, and its version.
service "greenroom-gateway-presence" {
  policy = "write"
}
