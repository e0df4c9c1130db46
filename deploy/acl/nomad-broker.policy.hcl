# A broker's rights in Nomad, in each namespace that a zone uses for its sessions.
# Add a block like this for each other namespace. A zone without a namespace uses
# "default". Even if no zone uses it, the block of "default" needs "parse-job" and
# "read-job", because the broker checks images' jobspecs there.
namespace "default" {
  capabilities = [
    "submit-job", # parse jobspecs, register an on-demand session, stop any session
    "read-job",   # validate jobspecs; follow a session's evaluation and allocation
    "list-jobs",  # count sessions under a max_sessions; while Redis is away: see by the newest ones if Consul was restored
    "alloc-exec", # run the assign hook inside a session
    "read-logs",  # the last line of stderr of a session that could not start; logs for administrators

    # Sessions of the raw_exec driver are processes of the node, so an exec in such a
    # session is an exec on the node. Uncomment this only if you have such images:
    # "alloc-node-exec",
  ]
}

# The broker sends a hook directly to the session's node, not through a server.
node {
  policy = "read"
}
