"""A stand-in kubelet and scheduler: runs each Pod of a cluster as local processes in a network namespace of its own."""
