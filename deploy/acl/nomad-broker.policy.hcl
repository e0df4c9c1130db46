# What a broker does in Nomad, in each namespace that a zone puts its sessions in.
# Add a block like this for each further one. A zone that names none uses
# "default"; when no zone does, its block still needs "parse-job" and "read-job",
# for images' jobspecs are checked there.
namespace "default" {
  capabilities = [
    "submit-job", # parse jobspecs, register an on-demand session, stop any session
    "read-job",   # validate jobspecs; follow a session's evaluation and allocation
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
