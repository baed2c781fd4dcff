"""A Kubernetes cluster without containers: real control plane, pods as local processes in network namespaces."""
