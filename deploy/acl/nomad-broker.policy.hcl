# What a broker does in Nomad, per namespace that a zone puts its sessions in.
# Add a block like this for each further namespace; a zone without one uses
# "default", which keeps its parse-job in any case: jobspecs are parsed there.
namespace "default" {
  capabilities = [
    "parse-job",  # the images' jobspecs
    "submit-job", # register an on-demand session, stop any session
    "read-job",   # jobs, evaluations and allocations of sessions
    "alloc-exec", # run the assign hook inside a session

    # Sessions of the raw_exec driver run as the node's own processes, so an exec
    # in one is an exec on the node. Only for those who have such images:
    # "alloc-node-exec",
  ]
}

# A session's node: the hook is sent to it directly, not through a server.
node {
  policy = "read"
}
