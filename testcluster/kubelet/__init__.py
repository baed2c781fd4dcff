"""A stand-in kubelet and scheduler: runs each Pod of a cluster as local processes in a network namespace of its own.

A container has its own mounts (the machine's files, under a layer that takes its changes, and its volumes), host name
and identity. It shares the machine's processes, and nothing limits its CPU or memory; seccomp and AppArmor profiles are
not applied; volumes are those of the API's own objects, emptyDir and hostPath; there is no port-forward and no attach.
"""
