# What a scaler does in Nomad, per namespace that a zone puts its sessions in.
# Add a block like this for each further namespace; a zone without one uses
# "default", which keeps its parse-job in any case: jobspecs are parsed there.
namespace "default" {
  capabilities = [
    "parse-job",  # the images' jobspecs
    "submit-job", # register sessions, stop and purge them
    "list-jobs",  # the full list, at start and after a gap in the events
    "read-job",   # jobs, evaluations, allocations and their event stream
  ]
}

# The scaler listens to one event stream for all namespaces, which Nomad refuses
# to whoever may not read every one of them. Where "default" is the only
# namespace, this block can go.
namespace "*" {
  capabilities = ["list-jobs", "read-job"]
}
