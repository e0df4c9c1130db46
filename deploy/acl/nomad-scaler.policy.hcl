# What a scaler does in Nomad, in each namespace that a zone puts its sessions in.
# Add a block like this for each further one. A zone that names none uses
# "default"; when no zone does, its block still needs "parse-job", for jobspecs
# are parsed there.
namespace "default" {
  capabilities = [
    "submit-job", # parse jobspecs; register sessions, stop and purge them
    "list-jobs",  # the full list, at start and after a gap in the events
    "read-job",   # jobs, evaluations, allocations and their event stream
    "alloc-exec", # run the first_launch hook inside a session

    # Sessions of the raw_exec driver run as the node's own processes, so an exec
    # in one is an exec on the node. Only for those who have such images with a
    # first_launch hook:
    # "alloc-node-exec",
  ]
}

# A session's node: the hook is sent to it directly, not through a server.
node {
  policy = "read"
}

# The scaler listens to one event stream for all namespaces, which Nomad refuses
# to whoever may not read every one of them. Where "default" is the only
# namespace, this block can go.
namespace "*" {
  capabilities = ["list-jobs", "read-job"]
}
