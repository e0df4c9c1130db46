# A scaler's rights in Nomad, in each namespace that a zone uses for its sessions.
# Add a block like this for each other namespace. A zone without a namespace uses
# "default". Even if no zone uses it, the block of "default" needs "parse-job",
# because the scaler parses jobspecs there.
namespace "default" {
  capabilities = [
    "submit-job", # parse jobspecs; register sessions, stop and purge them
    "list-jobs",  # the full list, at start and after a gap in the events
    "read-job",   # jobs, evaluations, allocations and their event stream
    "alloc-exec", # run the first_launch hook inside a session
    "read-logs",  # show the last line of stderr of a session that crashed

    # Sessions of the raw_exec driver are processes of the node, so an exec in such a
    # session is an exec on the node. Uncomment this only if you have such images with
    # a first_launch hook:
    # "alloc-node-exec",
  ]
}

# The scaler sends a hook directly to the session's node, not through a server.
node {
  policy = "read"
}

# The scaler reads one event stream for all namespaces. Nomad refuses that stream to a
# token that cannot read all of them. If "default" is the only namespace, you can
# remove this block.
namespace "*" {
  capabilities = ["read-job"]
}
